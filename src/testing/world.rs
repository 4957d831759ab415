//! A whole service on an in-memory database, with a clock that jumps and a Lambda that does as it is told.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde_json::Value;
use tasklane_auth::KeyFile;
use tasklane_dispatch::{Dispatcher, SlotLimits, SlotPolicy, Slots, Ticker};
use tasklane_local::{
    database::{self, Watch},
    wakeups::LocalWakeups,
};
use tasklane_model::{
    Advance, Advanced, Caller, EntryPoint, Failures, FunctionName, Interval, Json, NewSchedule, NewTask, ObjectId,
    Priority, Recurrence, RunStats, Runtime, Schedule, StatsRange, Tags, Task, TaskOptions, TaskStatus, Timestamp,
};
use tasklane_ports::{Clock, Ids, PortError, PortFuture, Ports, SystemChance};
use tasklane_service::{
    Core, Feed, FunctionOptions, Limits, NewFunction, NewProgram, Rehearsal, RunHistory, Service, Settings,
};
use tasklane_store::{Division, RunnerId, Store, StoreConfig};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{TestClock, TestDatabase, TestEvents, TestLambda, TestLogs, TestObjects, TestUploads};

/// The service of one process. Dropping it stops its loops.
pub struct World {
    /// What callers can do.
    pub service: Service,
    /// The tables.
    pub store: Store,
    /// The way to the tables, which can be slow.
    pub database: TestDatabase,
    /// The Lambda.
    pub lambda: Arc<TestLambda>,
    /// The events.
    pub events: Arc<TestEvents>,
    /// The log lines of runs.
    pub logs: Arc<TestLogs>,
    /// What tells streams of changes.
    pub feed: Feed,
    /// The objects.
    pub objects: Arc<TestObjects>,
    /// The uploads.
    pub uploads: Arc<TestUploads>,
    /// Seals the secrets of credentials.
    pub secrets: Arc<KeyFile>,
    /// The clock.
    pub clock: Arc<TestClock>,
    /// The ticker, for tests that tick by hand.
    pub ticker: Ticker,
    /// The dispatcher, for tests that claim by hand.
    pub dispatcher: Dispatcher,
    /// Its slots.
    pub slots: Arc<Slots>,
    /// Its ports.
    pub ports: Ports,
    /// Notified when there may be work.
    pub woken: Arc<Notify>,
    core: Core,
    changed: Arc<Notify>,
    stop: CancellationToken,
    loops: TaskTracker,
}

impl World {
    /// A service at rest that may run this many queued Tasks and as many direct executions at once, on 2026-01-31 at noon.
    pub async fn at_rest(task_concurrency: u16) -> Self {
        Box::pin(Self::divided(task_concurrency, Division::FOR_MANY)).await
    }

    /// The same, with slots that are divided like this.
    pub async fn divided(task_concurrency: u16, slots: Division) -> Self {
        let noon: Timestamp = "2026-01-31T12:00:00Z".parse().expect("a moment");
        let clock = Arc::new(TestClock::at(noon));
        let way = TestDatabase::default();
        let feed = Feed::default();
        let watch = Watch::new("test", feed.clone());
        let client = database::client_of(way.in_front_of(database::memory_connector(Some(clock.clone()), Some(watch))));
        let store = Store::new(client, StoreConfig { slots, ..StoreConfig::new("test") }, clock.clone(), &SystemChance);
        // Boxed, because it is large, and every test's future would contain it.
        Box::pin(store.create_tables()).await.expect("tables in memory");
        Self::on(store, way, (clock, feed), task_concurrency, "runner")
    }

    /// Another process on the same tables.
    pub fn beside(&self, task_concurrency: u16, runner: &str) -> Self {
        let shared = (self.clock.clone(), self.feed.clone());
        Self::on(self.store.clone(), self.database.clone(), shared, task_concurrency, runner)
    }

    /// A service with running dispatcher and ticker.
    pub async fn running(task_concurrency: u16) -> Self {
        let world = Self::at_rest(task_concurrency).await;
        world.start();
        world
    }

    /// Starts the dispatcher and the ticker.
    pub fn start(&self) {
        self.core.spawn_loops(&self.loops, &self.stop, self.woken.clone(), self.changed.clone());
    }

    fn on(
        store: Store,
        database: TestDatabase,
        (clock, feed): (Arc<TestClock>, Feed),
        task_concurrency: u16,
        runner: &str,
    ) -> Self {
        let logs = Arc::new(TestLogs::new(feed.clone()));
        let lambda = Arc::new(TestLambda::new(clock.clone()));
        let events = Arc::new(TestEvents::default());
        let objects = Arc::new(TestObjects::default());
        let uploads = Arc::new(TestUploads::default());
        let secrets = Arc::new(new_key());
        let wakeups = LocalWakeups::default();
        let ports = Ports {
            lambda: lambda.clone(),
            wakeups: Arc::new(wakeups.clone()),
            events: events.clone(),
            logs: logs.clone(),
            objects: objects.clone(),
            uploads: uploads.clone(),
            clock: clock.clone(),
            ids: Arc::new(Ids::new(Arc::new(SystemChance))),
            chance: Arc::new(SystemChance),
        };
        let limits = Limits {
            holder: RunnerId::new(runner),
            policy: SlotPolicy::Shared,
            slots: SlotLimits { tasks: task_concurrency, direct: task_concurrency },
            runs_per_dispatcher: None,
        };
        let settings = Settings {
            feed: Some(feed.clone()),
            history: Some(Arc::new(NoRuns)),
            rehearsal: Some(Arc::new(Rehearsed { clock: clock.clone() })),
            ..Settings::default()
        };
        let core = Core::assemble(store.clone(), ports.clone(), secrets.clone(), settings, limits);
        Self {
            service: core.service.clone(),
            dispatcher: core.dispatcher.clone(),
            ticker: core.ticker.clone(),
            slots: core.slots.clone(),
            core,
            ports,
            store,
            database,
            lambda,
            events,
            logs,
            feed,
            objects,
            uploads,
            clock,
            secrets,
            woken: wakeups.dispatcher,
            changed: wakeups.ticker,
            stop: CancellationToken::new(),
            loops: TaskTracker::new(),
        }
    }

    /// The same service as a process that does not see every write.
    pub fn without_streams(&self) -> Service {
        let secrets = self.secrets.clone();
        let functions = self.core.functions.clone();
        Service::new(
            self.store.clone(),
            self.ports.clone(),
            Settings::default(),
            self.slots.clone(),
            functions,
            secrets,
        )
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Creates a Function with these options.
    pub async fn function(&self, name: &str, options: FunctionOptions) {
        let new = NewFunction {
            name: FunctionName::parse(name).expect("a function name"),
            program: NewProgram::Zip {
                code: Bytes::from_static(b"zip").into(),
                entry_point: EntryPoint::parse("index.handler").expect("an entry point"),
                runtime: Runtime::new("nodejs20.x"),
            },
            options,
            label: None,
            by: None,
        };
        self.service.create_function(new).await.expect("the function is created");
    }

    /// Creates a Task of this Function.
    pub async fn task(&self, function: &str) -> Task {
        self.task_with(function, 0, None).await
    }

    /// Creates a Task with this priority and start.
    pub async fn task_with(&self, function: &str, priority: i64, start: Option<Timestamp>) -> Task {
        let new = NewTask {
            function_name: FunctionName::parse(function).expect("a function name"),
            data: Some(Json::from(serde_json::json!({ "n": 1 }))),
            start_timestamp: start,
            priority: Some(Priority::new(priority).expect("a priority")),
            tags: Tags::default(),
            options: TaskOptions::default(),
        };
        self.service.create_task(&Caller::Nobody, new).await.expect("the task is created")
    }

    /// Creates a Schedule of this Function whose Tasks have the data `"tick"`, one each `seconds` from `start` on, or from now.
    pub async fn schedule(&self, function: &str, seconds: i64, start: Option<Timestamp>) -> Schedule {
        let interval = Interval::from_secs(seconds).expect("an interval");
        let function = FunctionName::parse(function).expect("a function name");
        let new = NewSchedule {
            data: Some(Json::from(serde_json::json!("tick"))),
            start_timestamp: start,
            ..NewSchedule::of(function, Recurrence::Every(interval))
        };
        self.service.create_schedule(&Caller::Nobody, new).await.expect("the schedule is created")
    }

    /// The Task as it is now.
    pub async fn get(&self, id: ObjectId) -> Task {
        self.store.tasks.get(id).await.expect("the store answers").expect("the task exists").task
    }

    /// Waits until the Task is in a final state.
    pub async fn finished(&self, id: ObjectId) -> Task {
        self.when(id, TaskStatus::is_final).await
    }

    /// Waits until the Task's status meets a condition.
    pub async fn when(&self, id: ObjectId, meets: impl Fn(TaskStatus) -> bool) -> Task {
        let mut pause = std::time::Duration::from_millis(1);
        loop {
            let task = self.get(id).await;
            if meets(task.status) {
                return task;
            }
            // The clock jumps: this costs no time, and lets everything else go on.
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(std::time::Duration::from_secs(1));
        }
    }

    /// Every Task, by id.
    pub async fn all_tasks(&self) -> BTreeMap<String, Value> {
        let page = self
            .service
            .list_tasks(&Caller::Nobody, &tasklane_rql::Query::everything())
            .await
            .expect("the store answers");
        page.data
            .iter()
            .map(tasklane_model::Json::to_value)
            .map(|task| (task["id"].as_str().unwrap_or_default().to_owned(), task))
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A box whose key is forgotten with it.
fn new_key() -> KeyFile {
    let folder = tempfile::tempdir().unwrap();
    KeyFile::open_or_create(&folder.path().join("key")).unwrap()
}

/// The clock of this service, which nothing follows. No run fails.
#[derive(Debug)]
struct Rehearsed {
    clock: Arc<TestClock>,
}

impl Rehearsal for Rehearsed {
    fn advance(&self, by: Advance) -> PortFuture<'_, tasklane_model::Result<Advanced>> {
        self.clock.jump(by.into());
        Box::pin(async { Ok(Advanced { timestamp: self.clock.now(), runs: 0 }) })
    }

    fn fail(&self, _: &FunctionName, _: Failures) {}
}

/// A history in which nothing ran.
#[derive(Debug)]
struct NoRuns;

impl RunHistory for NoRuns {
    fn read(&self, _: StatsRange, _: usize) -> PortFuture<'_, Result<Vec<RunStats>, PortError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
