//! The store suite: every method of the store, on the embedded DynamoDB, or on the one that
//! `TASKLANE_TEST_DYNAMODB_ENDPOINT` names (DynamoDB Local, for one), in separate tables for each test.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod data;
mod edits;
mod intents;
mod lists;
mod lost_answers;
mod queue;
mod races;
mod records;
mod retention;
mod runs;
mod shards;
mod shifts;
mod slots;
mod tasks;
mod upgrades;
mod wire;
mod write_units;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tasklane::{
    model::{FunctionName, Json, Lane, ObjectId, Task, TaskError, TaskErrorKind, TaskEvents, TaskStatus, Timestamp},
    ports::{Clock, PortFuture, SystemChance},
    store::{AttemptToken, Candidate, DataPlace, NextTask, QueueLane, Run, RunnerId, Store, StoreConfig, TaskRecord},
};
use wire::Wire;

/// The start time of every test: 2026-01-31T08:15:30.000Z.
const BEGIN: i64 = 1_769_847_330_000;

/// A store for one test, its clock, and the wire to the database.
struct World {
    store: Store,
    clock: Arc<TestClock>,
    wire: Wire,
    client: Client,
    prefix: String,
    ids: AtomicU64,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(configure: impl FnOnce(&mut StoreConfig)) -> Self {
        let clock = Arc::new(TestClock(Mutex::new(Timestamp::from_millis(BEGIN).unwrap())));
        let (client, wire) = connect(&clock);
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let prefix = format!("test-{}", hex::encode(random));
        let mut config = StoreConfig::new(&prefix);
        configure(&mut config);
        let store = Store::new(client.clone(), config, clock.clone(), &SystemChance);
        store.create_tables().await.unwrap();
        wire.forget();
        Self { store, clock, wire, client, prefix, ids: AtomicU64::new(0) }
    }

    /// Another process on the same tables.
    fn another_store(&self, configure: impl FnOnce(&mut StoreConfig)) -> Store {
        let mut config = StoreConfig::new(&self.prefix);
        configure(&mut config);
        Store::new(self.client.clone(), config, self.clock.clone(), &SystemChance)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn id(&self) -> ObjectId {
        ObjectId::new(self.now(), self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// A `new` Task of the Function `f`, due now.
    fn task(&self) -> Task {
        self.task_of("f")
    }

    fn task_of(&self, name: &str) -> Task {
        let data = Some(Json::parse(r#"{"n": 1.0}"#.to_owned()).unwrap());
        Task { data, ..Task::new(self.id(), function(name), self.now()) }
    }

    fn run(&self) -> Run {
        run_of(self.now(), "runner")
    }

    async fn create(&self, task: &Task) -> ObjectId {
        self.store.tasks.create(task, Lane::Shared, self.now()).await.unwrap();
        task.id
    }

    async fn get(&self, id: ObjectId) -> TaskRecord {
        self.store.tasks.get(id).await.unwrap().unwrap()
    }

    async fn status(&self, id: ObjectId) -> TaskStatus {
        self.get(id).await.task.status
    }

    /// The ids at the head of the shared lane.
    async fn heads(&self) -> Vec<ObjectId> {
        self.candidates().await.iter().map(|candidate| candidate.id).collect()
    }

    async fn candidates(&self) -> Vec<Candidate> {
        self.store.tasks.heads(&[QueueLane::Shared], 100).await.unwrap()
    }

    /// A Task in progress, and its run.
    async fn running(&self) -> (ObjectId, Run) {
        let run = self.run();
        let id = self.create(&self.task()).await;
        let candidate = self.candidates().await.into_iter().find(|candidate| candidate.id == id).unwrap();
        self.store.tasks.claim(&candidate, &run, self.now()).await.unwrap().unwrap();
        (id, run)
    }
}

/// The retry of a Task with small data.
fn again(next: &Task) -> NextTask<'_> {
    NextTask { task: next, queue: Lane::Shared, data: DataPlace::Inside, events: TaskEvents::default(), ran: None }
}

fn run_of(now: Timestamp, runner: &str) -> Run {
    let mut chance = [0; 12];
    getrandom::fill(&mut chance).unwrap();
    Run {
        attempt: AttemptToken::new(chance),
        runner: RunnerId::new(runner),
        started: now,
        lease_expires: now.saturating_add(Duration::from_secs(60)),
        version: None,
    }
}

fn function(name: &str) -> FunctionName {
    FunctionName::parse(name).unwrap()
}

fn boom() -> TaskError {
    TaskError { kind: TaskErrorKind::Runtime, name: "Boom".into(), message: "it went boom".into() }
}

/// A clock that moves only when told to.
struct TestClock(Mutex<Timestamp>);

impl TestClock {
    fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.saturating_add(by);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep<'a>(&'a self, _: Duration) -> PortFuture<'a, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

/// A client of the database under test, through a wire that can be observed and interrupted.
fn connect(clock: &Arc<TestClock>) -> (Client, Wire) {
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    match std::env::var("TASKLANE_TEST_DYNAMODB_ENDPOINT") {
        Ok(endpoint) => {
            let wire = Wire::new(aws_smithy_http_client::Builder::new().build_http());
            let config = Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("us-east-1"))
                .credentials_provider(Credentials::new("test", "test", None, None, "test"))
                .endpoint_url(endpoint)
                .retry_config(retries)
                .http_client(SharedHttpClient::new(wire.clone()));
            (Client::from_conf(config.build()), wire)
        }
        Err(_) => {
            let wire = Wire::new(tasklane::local::database::memory_connector(Some(clock.clone()), None));
            let config = tasklane::local::database::client_config(SharedHttpClient::new(wire.clone()));
            (Client::from_conf(config.retry_config(retries).build()), wire)
        }
    }
}
