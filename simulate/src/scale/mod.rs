//! How much a deployment can do: the real engine and store, with the limits of DynamoDB and Lambda, on a clock that jumps.
//!
//! A database in memory answers, but its partitions take only as much as DynamoDB's, an index throttles the writes of its
//! table, and the index that the queue is read from lags. What is not simulated: the processors and the memory of the
//! Lambda functions, bursts and splits of partitions, and the network. `docs/scale.md` has the results.

mod capacity;
mod crowd;
mod figures;
mod index;
mod wire;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use tasklane_model::{
    Caller, ConcurrencyLimit, EntryPoint, Error, ErrorKind, FunctionName, Interval, NewSchedule, NewTask,
    PermissionMode, Recurrence, Runtime, Tags, TaskOptions,
};
use tasklane_service::{FunctionOptions, NewFunction, NewProgram, Service};

pub use capacity::KindOfPartition;
use crowd::Crowd;
use wire::Database;

/// How many Schedules are created at once: slowly enough for the one partition that holds them.
const SCHEDULED_AT_ONCE: usize = 2;
/// How long it takes to create a Schedule, at most, in milliseconds.
const SCHEDULING: u64 = 8;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// Tasks created in a second.
    pub rate: u64,
    /// How long Tasks are created.
    pub seconds: u64,
    /// Schedules that are due in the minute after the start, instead of Tasks, each with an interval of an hour.
    pub schedules: u64,
    /// How many Functions there are.
    pub functions: u64,
    /// Whether half of all Tasks are of the first Function, a quarter of the second, and so on.
    pub unequal: bool,
    /// Whether each Function has a lane of its own.
    pub own_lanes: bool,
    pub shards: u8,
    /// How many queued Tasks may run at once.
    pub slots: u16,
    /// How many dispatchers may be at work at once.
    pub dispatchers: usize,
    pub runs_per_dispatcher: usize,
    /// How many processes serve callers.
    pub apis: usize,
    /// How long a run takes.
    pub takes: Duration,
    /// The most runs at once that the account allows.
    pub concurrency: u64,
    /// How much the index lags, in milliseconds.
    pub index_lag: (u64, u64),
    /// How long the work may go on after the last creation, in seconds.
    pub patience: u64,
}

/// What came of a scenario.
#[derive(Debug)]
pub struct Outcome {
    pub created: u64,
    pub completed: u64,
    pub failed: u64,
    pub refused: u64,
    /// How long it took until all Tasks had ended, or patience had, after the last was created.
    pub drained_in: Duration,
    /// How late Tasks were claimed: the median, 99 of 100, and the latest.
    pub waits: [Duration; 3],
    /// Completions in the median second while Tasks were created.
    pub per_second: u64,
    pub claims: u64,
    pub lost_claims: u64,
    pub looks: u64,
    pub heads: u64,
    pub most_running: u64,
    pub shifts: u64,
    pub most_connections: u64,
    pub partitions: Vec<KindOfPartition>,
    /// Units written and read, for each Task.
    pub units: (f64, f64),
}

impl std::fmt::Debug for KindOfPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kind)
    }
}

/// Runs a scenario.
///
/// # Panics
/// If no runtime can be created, or the tables cannot.
pub fn run(scenario: &Scenario) -> Outcome {
    #[allow(clippy::expect_used)] // without a runtime there is no simulation
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let outcome = runtime.block_on(simulate(scenario));
    runtime.shutdown_background();
    outcome
}

async fn simulate(scenario: &Scenario) -> Outcome {
    let memory = tasklane_local::database::memory_connector(None, None);
    let database = Database::new(memory, scenario.index_lag, scenario.seed);
    #[allow(clippy::expect_used)] // without tables there is no simulation
    crowd::store(scenario, &database, "setup").create_tables().await.expect("the tables");
    let crowd = Arc::new(Crowd::start(scenario, &database));
    let ticks = Arc::clone(&crowd);
    let clock = Arc::clone(&database);
    tokio::spawn(async move { ticks.tick_each_minute(&clock).await });
    let begin = prepare(scenario, &crowd, &database).await;
    let load_ends = if scenario.schedules > 0 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        begin + 60_000
    } else {
        create_tasks(scenario, &crowd, &database).await;
        database.elapsed()
    };
    let until = database.elapsed() + i64::try_from(scenario.patience * 1000).unwrap_or(i64::MAX);
    let all = |figures: &mut figures::Figures| {
        let tasks = if scenario.schedules > 0 { scenario.schedules } else { scenario.rate * scenario.seconds };
        figures.created + figures.refused >= tasks && figures.all_ended()
    };
    while database.elapsed() < until && !database.with(|figures, _| all(figures)) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    outcome(&database, begin, load_ends)
}

/// Creates the Functions and the Schedules. Returns when the load begins.
async fn prepare(scenario: &Scenario, crowd: &Crowd, database: &Arc<Database>) -> i64 {
    for number in 0..scenario.functions {
        let service = &crowd.services[usize::try_from(number).unwrap_or(0) % crowd.services.len()];
        if create_function(service, number, scenario.own_lanes).await.is_err() {
            database.with(|figures, _| figures.refused += 1);
        }
    }
    schedule(scenario, crowd, database).await
}

/// Creates the Schedules, whose first occurrences are due one after another within one minute, which is returned.
async fn schedule(scenario: &Scenario, crowd: &Crowd, database: &Arc<Database>) -> i64 {
    let begin = database.elapsed();
    if scenario.schedules == 0 {
        return begin;
    }
    // The ticker comes at full minutes.
    let minute = begin + 120_000 + i64::try_from(scenario.schedules * SCHEDULING).unwrap_or(0);
    let minute = minute - minute % 60_000;
    let created = stream::iter(0..scenario.schedules).map(async |number| {
        let due = minute + i64::try_from(number * 60_000 / scenario.schedules).unwrap_or(0);
        let hourly = Recurrence::Every(Interval::from_secs(3600).ok()?);
        let new = NewSchedule {
            start_timestamp: Some(crate::time::timestamp(due)),
            ..NewSchedule::of(crowd::function(number % scenario.functions)?, hourly)
        };
        let service = &crowd.services[usize::try_from(number).unwrap_or(0) % crowd.services.len()];
        service.create_schedule(&Caller::Nobody, new).await.ok()
    });
    let created = created.buffer_unordered(SCHEDULED_AT_ONCE).collect::<Vec<_>>().await;
    database.with(|figures, _| figures.refused += created.iter().filter(|one| one.is_none()).count() as u64);
    let left = minute - database.elapsed();
    tokio::time::sleep(Duration::from_millis(u64::try_from(left).unwrap_or(0))).await;
    minute
}

async fn create_function(service: &Service, number: u64, own_lane: bool) -> Result<(), Error> {
    let unknown = || Error::new(ErrorKind::ResourceUnknown, "no such function");
    let new = NewFunction {
        name: crowd::function(number).ok_or_else(unknown)?,
        program: NewProgram::Zip {
            code: bytes::Bytes::from_static(b"zip").into(),
            entry_point: EntryPoint::parse("index.handler").map_err(|_| unknown())?,
            runtime: Runtime::new("nodejs24.x"),
        },
        options: FunctionOptions {
            permission_mode: Some(PermissionMode::Public),
            concurrency_limit: own_lane.then(|| ConcurrencyLimit::new(100).ok()),
            ..FunctionOptions::default()
        },
        label: None,
        by: None,
    };
    service.create_function(new).await.map(|_| ())
}

async fn create_tasks(scenario: &Scenario, crowd: &Arc<Crowd>, database: &Arc<Database>) {
    let total = scenario.rate * scenario.seconds;
    let begin = database.elapsed();
    for number in 0..total {
        let at = begin + i64::try_from(number * 1000 / scenario.rate.max(1)).unwrap_or(0);
        let wait = at - database.elapsed();
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or(0))).await;
        }
        let Some(name) = choose(scenario, database) else { continue };
        let (crowd, database) = (Arc::clone(crowd), Arc::clone(database));
        tokio::spawn(async move {
            let service = &crowd.services[usize::try_from(number).unwrap_or(0) % crowd.services.len()];
            let new = NewTask {
                function_name: name,
                data: None,
                start_timestamp: None,
                priority: None,
                tags: Tags::default(),
                options: TaskOptions::default(),
            };
            if service.create_task(&Caller::Nobody, new).await.is_err() {
                database.with(|figures, _| figures.refused += 1);
            }
        });
    }
}

fn choose(scenario: &Scenario, database: &Database) -> Option<FunctionName> {
    let last = scenario.functions.saturating_sub(1);
    if scenario.unequal {
        // Each has half of what the one before it has.
        let halvings = database.draw((0, u64::MAX)).trailing_ones();
        return crowd::function(u64::from(halvings).min(last));
    }
    crowd::function(database.draw((0, last)))
}

fn outcome(database: &Database, begin: i64, load_ends: i64) -> Outcome {
    let ended = database.elapsed();
    database.with(|figures, capacity| {
        figures.waits.sort_unstable();
        let wait = |per_mille: usize| {
            let index = (figures.waits.len().saturating_sub(1)) * per_mille / 1000;
            Duration::from_millis(u64::try_from(figures.waits.get(index).copied().unwrap_or(0)).unwrap_or(0))
        };
        let mut seconds: Vec<u64> = (begin / 1000 + 2..load_ends / 1000)
            .map(|second| figures.by_second.get(&second).copied().unwrap_or(0))
            .collect();
        seconds.sort_unstable();
        let partitions = capacity.by_kind();
        #[allow(clippy::cast_precision_loss)] // figures
        let each =
            |of: fn(&KindOfPartition) -> f64| partitions.iter().map(of).sum::<f64>() / (figures.created.max(1) as f64);
        let units = (each(|kind| kind.written), each(|kind| kind.read));
        Outcome {
            created: figures.created,
            completed: figures.completed,
            failed: figures.failed,
            refused: figures.refused,
            drained_in: Duration::from_millis(u64::try_from(ended - load_ends).unwrap_or(0)),
            waits: [wait(500), wait(990), wait(1000)],
            per_second: seconds.get(seconds.len() / 2).copied().unwrap_or(0),
            claims: figures.claims,
            lost_claims: figures.lost_claims,
            looks: figures.looks,
            heads: figures.heads,
            most_running: figures.running.0,
            shifts: figures.shifts,
            most_connections: figures.most_connections,
            units,
            partitions,
        }
    })
}
