//! The engine alone: the store's own writes, and the dispatcher with a Function that costs nothing.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use tasklane_auth::KeyFile;
use tasklane_dispatch::{SlotLimits, SlotPolicy};
use tasklane_local::{database, events::LocalEvents, logs::LocalLogs, objects::FileObjects, wakeups::LocalWakeups};
use tasklane_model::{
    CodeSha256, Deployment, EntryPoint, FunctionName, Lane, ObjectId, PermissionMode, RetryPolicyChange, Runtime, Task,
    TaskStatus, Timestamp,
};
use tasklane_ports::{
    Clock, Code, DeployError, FunctionError, FunctionSpec, HeldCode, Ids, Invocation, InvokeError, InvokeRequest,
    Lambda, NoUploads, Outcome, PortError, PortFuture, Ports, SystemChance, SystemClock,
};
use tasklane_runtime::lock::Lock;
use tasklane_service::{Core, FunctionOptions, Limits, NewFunction, NewProgram, Service, Settings};
use tasklane_store::{AttemptToken, Candidate, Place, QueueLane, ReadyKey, Run, RunnerId, Store, StoreConfig};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The store's own writes, in a separate database.
pub struct Writes {
    pub store: Store,
    ids: Ids,
    holder: RunnerId,
}

impl Writes {
    pub async fn open(database: &Path) -> anyhow::Result<Self> {
        let connection = database::open(database)?;
        let store = Store::new(connection, StoreConfig::new("bench"), Arc::new(SystemClock), &SystemChance);
        store.create_tables().await?;
        Ok(Self { store, ids: Ids::new(Arc::new(SystemChance)), holder: RunnerId::new("bench") })
    }

    pub fn next_id(&self) -> ObjectId {
        self.ids.next(SystemClock.now())
    }

    /// The first write of a direct execution.
    pub async fn begin(&self, task: &Task) -> anyhow::Result<Run> {
        let now = SystemClock.now();
        let lease_expires = now.saturating_add(Duration::from_secs(60));
        let attempt = AttemptToken::new(self.ids.secret());
        let run = Run { attempt, runner: self.holder.clone(), started: now, lease_expires, version: None };
        anyhow::ensure!(self.store.tasks.create_running(task, &run).await?, "another run has the task");
        Ok(run)
    }

    /// The second write.
    pub async fn complete(&self, task: &Task, run: &Run) -> anyhow::Result<()> {
        let recorded = self.store.tasks.complete(task.id, &run.attempt, Some("request"), SystemClock.now()).await?;
        anyhow::ensure!(recorded, "the task does not belong to this run");
        Ok(())
    }

    /// The three writes of a queued Task: create, claim, complete.
    pub async fn queued(&self) -> anyhow::Result<()> {
        let mut task = running_task(self.next_id(), "hello");
        task.status = TaskStatus::New;
        let now = task.start_timestamp;
        self.store.tasks.create(&task, Lane::Shared, now).await?;
        let key = ReadyKey::new(task.priority, task.start_timestamp, task.id);
        let lane = QueueLane::Shared;
        let candidate =
            Candidate { id: task.id, function: task.function_name.clone(), lane, place: Place::Queued, key };
        let attempt = AttemptToken::new(self.ids.secret());
        let lease_expires = now.saturating_add(Duration::from_secs(60));
        let run = Run { attempt, runner: self.holder.clone(), started: now, lease_expires, version: None };
        self.store.tasks.claim(&candidate, &run, now).await?.context("the task was not claimed")?;
        self.complete(&task, &run).await
    }
}

/// A Task of this Function that is in progress from the start.
pub fn running_task(id: ObjectId, function: &str) -> Task {
    Task { status: TaskStatus::InProgress, ..Task::new(id, name(function), SystemClock.now()) }
}

/// A name that is known to be valid.
pub fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).unwrap_or_else(|_| unreachable!("{text} is a name"))
}

/// The whole engine, on a separate database, with a Function that costs nothing.
pub struct Engine {
    pub service: Service,
    pub store: Store,
    pub lambda: Arc<Instant>,
    stop: CancellationToken,
    loops: TaskTracker,
}

/// The place of the tables.
pub enum Kept {
    OnDisk,
    InMemory,
}

impl Engine {
    /// Starts it like `tasklane dev`, except for its Lambda. It has the Functions `hello` and `flaky`, which always
    /// fails and is retried.
    pub async fn start(kept: Kept, folder: &Path, slots: u16) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let connection = match kept {
            Kept::OnDisk => database::open(&folder.join("database.sqlite"))?,
            Kept::InMemory => database::memory(),
        };
        let store = Store::new(connection, StoreConfig::new("bench"), clock.clone(), &SystemChance);
        store.create_tables().await?;
        let lambda = Arc::new(Instant::default());
        let wakeups = LocalWakeups::default();
        let ports = Ports {
            lambda: lambda.clone(),
            wakeups: Arc::new(wakeups.clone()),
            events: Arc::new(LocalEvents::open(folder, None)?),
            logs: Arc::new(LocalLogs::open(folder, Duration::from_secs(3600), None)?),
            objects: Arc::new(FileObjects::open(folder, None)?),
            uploads: Arc::new(NoUploads),
            clock: clock.clone(),
            ids: Arc::new(Ids::new(Arc::new(SystemChance))),
            chance: Arc::new(SystemChance),
        };
        let secrets = Arc::new(KeyFile::open_or_create(&folder.join("key"))?);
        let limits = limits(SlotPolicy::Alone, slots);
        let core = Core::assemble(store.clone(), ports, secrets, Settings::default(), limits);
        let (stop, loops) = (CancellationToken::new(), TaskTracker::new());
        core.spawn_loops(&loops, &stop, wakeups.dispatcher, wakeups.ticker);
        let engine = Self { service: core.service, store, lambda, stop, loops };
        for function in ["hello", "flaky"] {
            engine.service.create_function(function_of(function)?).await.map_err(|e| anyhow::anyhow!("{e}"))?;
        }
        Ok(engine)
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.loops.close();
        self.loops.wait().await;
        self.service.drain().await;
    }
}

/// The service as in the API's Lambda function: without a dispatcher beside it, and with other processes that lease
/// slots, too.
pub struct Api {
    pub service: Service,
}

impl Api {
    pub async fn start(client: aws_sdk_dynamodb::Client, folder: &Path) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Store::new(client, StoreConfig::new("bench"), clock.clone(), &SystemChance);
        store.create_tables().await?;
        let ports = Ports {
            lambda: Arc::new(Instant::default()),
            wakeups: Arc::new(LocalWakeups::default()),
            events: Arc::new(LocalEvents::open(folder, None)?),
            logs: Arc::new(LocalLogs::open(folder, Duration::from_secs(3600), None)?),
            objects: Arc::new(FileObjects::open(folder, None)?),
            uploads: Arc::new(NoUploads),
            clock: clock.clone(),
            ids: Arc::new(Ids::new(Arc::new(SystemChance))),
            chance: Arc::new(SystemChance),
        };
        let secrets = Arc::new(KeyFile::open_or_create(&folder.join("key"))?);
        let settings = Settings { record_before_answer: true, ..Settings::default() };
        let service = Core::assemble(store, ports, secrets, settings, limits(SlotPolicy::Shared, 5)).service;
        service.create_function(function_of("hello")?).await.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Self { service })
    }
}

fn limits(policy: SlotPolicy, slots: u16) -> Limits {
    Limits {
        holder: RunnerId::new("bench"),
        policy,
        slots: SlotLimits { tasks: slots, direct: slots },
        runs_per_dispatcher: None,
    }
}

/// A run of a Function, as Lambda saw it.
#[derive(Clone, Copy)]
pub struct Started {
    pub task: ObjectId,
    /// When it was due.
    pub due: Timestamp,
    /// When Lambda was asked to run it, to the microsecond.
    pub at: Duration,
    /// The number of runs before it.
    pub retries: usize,
}

/// How long a run of `slow` takes.
pub const SLOW: Duration = Duration::from_millis(200);

/// A Lambda whose Functions cost nothing: `hello` returns a response like an API Function and `flaky` fails, both
/// immediately, and `slow` returns after [`SLOW`]. Records when each run began.
#[derive(Default)]
pub struct Instant {
    started: Lock<Vec<Started>>,
}

impl Instant {
    /// Every run so far.
    pub fn started(&self) -> Vec<Started> {
        self.started.lock().clone()
    }
}

impl Lambda for Instant {
    fn deploy<'a>(
        &'a self,
        _: &'a FunctionSpec,
        _: Option<Code>,
        _: Option<&'a Deployment>,
    ) -> PortFuture<'a, Result<Deployment, DeployError>> {
        Box::pin(async { Ok(Deployment { version: "1".to_owned(), code_sha256: CodeSha256::of(b"none") }) })
    }

    fn holds<'a>(&'a self, _: &'a FunctionName, _: &'a Deployment) -> PortFuture<'a, Result<bool, PortError>> {
        Box::pin(async { Ok(true) })
    }

    fn point_at<'a>(&'a self, _: &'a FunctionName, _: &'a Deployment) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn code_of<'a>(
        &'a self,
        _: &'a FunctionName,
        _: &'a Deployment,
    ) -> PortFuture<'a, Result<Option<HeldCode>, PortError>> {
        Box::pin(async { Ok(None) })
    }

    fn retire<'a>(&'a self, _: &'a FunctionName, _: &'a [Deployment]) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn remove<'a>(&'a self, _: &'a FunctionName) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }

    fn invoke<'a>(&'a self, request: InvokeRequest<'a>) -> PortFuture<'a, Result<Invocation, InvokeError>> {
        let at = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        if let Ok(task) = serde_json::from_slice::<Task>(&request.payload) {
            let retries = task.retry_for_task_ids.len();
            let started = Started { task: task.id, due: task.start_timestamp, at, retries };
            self.started.lock().push(started);
        }
        let outcome = if request.function.as_str() == "flaky" {
            Outcome::Failed(FunctionError { name: "Error".to_owned(), message: "no".to_owned(), trace: Vec::new() })
        } else {
            Outcome::Returned(Bytes::from_static(b"{\"statusCode\":200,\"body\":\"hello\"}"))
        };
        let takes = if request.function.as_str() == "slow" { SLOW } else { Duration::ZERO };
        Box::pin(async move {
            if !takes.is_zero() {
                SystemClock.sleep(takes).await;
            }
            Ok(Invocation { request_id: "request".to_owned(), outcome })
        })
    }
}

/// A Function for the [`Instant`] Lambda. `flaky` is retried.
pub fn function_of(function: &str) -> anyhow::Result<NewFunction> {
    let mut options = FunctionOptions { permission_mode: Some(PermissionMode::Public), ..Default::default() };
    if function == "flaky" {
        options.retry_policy = Some(RetryPolicyChange::every_error());
    }
    Ok(NewFunction {
        name: name(function),
        program: NewProgram::Zip {
            code: Bytes::from_static(b"none").into(),
            entry_point: EntryPoint::parse("index.handler").map_err(|error| anyhow::anyhow!("{error}"))?,
            runtime: Runtime::new("nodejs20.x"),
        },
        options,
        label: None,
        by: None,
    })
}
