//! The tables: their keys, every read and every write.
//!
//! There is one store, on DynamoDB: on AWS the real one, on one machine the embedded one of `local::database`.
//! `docs/access-patterns.md` lists what each call reads and writes, and what it costs.
//!
//! # Layout
//!
//! - One module for each kind of record: `tasks`, `functions`, `schedules`, `api_requests`, `credentials`, `accounts`; and for small rows
//!   that belong to no record: `bulks`, `canaries`, `gates`, `slots`, `shifts` (both are `holders`), `runs`, `nonces`, `intents`, `results`, `own_lanes`, `days`.
//! - `lanes`: how the queue is laid out in an index. `days`: how the big tables are partitioned.
//! - `list`: from a query to a page.
//! - `table` and `transaction` make the calls of DynamoDB, through a `connection`; `change` and `row` build and read what they carry; `calls` marks
//!   writes, so that a repeated one is recognised; `schema` creates the tables; `error` is what goes wrong.

use std::{sync::Arc, time::Duration};

use futures::future::try_join_all;
use tasklane_ports::{Chance, Clock};

pub mod accounts;
pub mod api_requests;
pub mod bulks;
mod calls;
pub mod canaries;
mod change;
mod connection;
pub mod credentials;
mod days;
pub mod debounces;
pub mod error;
pub mod functions;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod gates;
mod generation;
mod holders;
pub mod intents;
pub mod lanes;
mod list;
pub mod nonces;
mod own_lanes;
pub mod results;
mod row;
pub mod run;
pub mod runs;
pub mod schedules;
mod schema;
pub mod shifts;
pub mod slots;
mod table;
pub mod tasks;
mod transaction;
mod uploads;

pub use accounts::{Accounts, Entered, Registry, Revised, Standing, StoredAccount};
pub use api_requests::ApiRequests;
pub use bulks::{BulkSpec, BulkTaken, BulkWork, Bulks, Slice};
pub use canaries::Canaries;
pub use connection::{Connection, Direct, DirectAnswer};
pub use credentials::Credentials;
pub use debounces::Debounces;
pub use error::StoreError;
pub use functions::{Functions, KeptVersion, MOST_VERSIONS, Revision, Versioned};
pub use gates::{DueGate, GateId, Gates, ReadGate};
pub use generation::Generation;
pub use intents::{Found, Intents};
pub use lanes::{Place, QueueLane, ReadyKey};
pub use nonces::Nonces;
pub use results::{ResultPlace, Results};
pub use run::{AttemptToken, Run, RunnerId};
pub use runs::{RegisteredRun, Runs, RunsIn};
pub use schedules::{DuePosition, DueSchedules, ScheduleParts, ScheduleRecord, Schedules, Step};
pub use shifts::Shifts;
pub use slots::{Division, Leased, SlotLedger, SlotPart, SlotScope};
pub use tasks::{
    CancelOutcome, Candidate, ClaimOutcome, Consequences, DataPlace, Edited, Expired, Expiring, Following, Heads, Load,
    Matching, NewData, NextTask, Promoted, Shards, TaskEdit, TaskRecord, Tasks,
};
pub use uploads::Uploads;

use calls::CallTokens;
use days::Days;
use generation::Generations;
use holders::Holders;
use list::Budgets;
pub use list::SlowFilters;
pub use own_lanes::LaneMemory;
use own_lanes::OwnLanes;
use schema::{FUNCTION, SCHEDULE_LANES, TASK_LANES};
use table::Table;
use tasks::{data::DataRows, marks::Marks};

/// Every table, for all that need one. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// Tasks, and the queue that they are.
    pub tasks: Tasks,
    /// Functions.
    pub functions: Functions,
    /// Schedules.
    pub schedules: Schedules,
    /// API Requests.
    pub api_requests: ApiRequests,
    /// Credentials, sealed or hashed.
    pub credentials: Credentials,
    /// Roles, and the accounts that have them.
    pub accounts: Accounts,
    /// Which Tasks each process may have in progress.
    pub runs: Runs,
    /// Who holds how many of the slots that limit running Tasks.
    pub slots: SlotLedger,
    /// Which dispatchers have long been at work, and which of them only wait for their runs.
    pub shifts: Shifts,
    /// The OAuth nonces seen before.
    pub nonces: Nonces,
    /// What calls with idempotency keys are about to create.
    pub intents: Intents,
    /// Code that was announced.
    pub uploads: Uploads,
    /// Which Task the next debounced creation changes.
    pub debounces: Debounces,
    /// What runs returned.
    pub results: Results,
    /// Operations on many Tasks.
    pub bulks: Bulks,
    /// Which Tasks of each flow key may run.
    pub gates: Gates,
    /// How the runs of canaries ended.
    pub canaries: Canaries,
}

/// How the store is set up.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// What the names of the tables begin with: `<prefix>-tasks` and so on.
    pub table_prefix: String,
    /// Into how many partitions each day and each lane is divided, 1–64. Each takes about 300 Tasks a second on AWS.
    /// A change holds for the days that follow.
    pub shards: u8,
    /// How the slots of scopes with a high limit are divided into rows.
    pub slots: Division,
    /// Into how many partitions Schedules are divided.
    pub schedules: ScheduleParts,
    /// How long finished Tasks and API Requests are kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// Where the runs in progress are recorded.
    pub runs_in: RunsIn,
    /// How long the lanes of single Functions are remembered.
    pub own_lanes: LaneMemory,
    /// How long a list may look for its page (contract §8: 21 after it).
    pub query_budget: Duration,
    /// How long a list goes on counting once its page is found; then `total` is a lower bound.
    pub count_budget: Duration,
    /// Where the filters of lists run that take long.
    pub slow_filters: SlowFilters,
}

impl StoreConfig {
    /// The defaults, for tables of this prefix.
    pub fn new(table_prefix: impl Into<String>) -> Self {
        Self {
            table_prefix: table_prefix.into(),
            shards: 1,
            schedules: ScheduleParts::ONE,
            slots: Division::FOR_MANY,
            retention: None,
            runs_in: RunsIn::Lane,
            own_lanes: LaneMemory::default(),
            query_budget: Duration::from_secs(5),
            count_budget: Duration::from_millis(300),
            slow_filters: SlowFilters::OnAnotherThread,
        }
    }
}

impl Store {
    /// The tables that `connection` reaches. Makes no call. `chance` tells this process's writes from those of others.
    pub fn new(
        connection: impl Into<Connection>,
        config: StoreConfig,
        clock: Arc<dyn Clock>,
        chance: &dyn Chance,
    ) -> Self {
        let connection = connection.into();
        let mut process = [0; 8];
        chance.fill(&mut process);
        let calls = CallTokens::new(process);
        let table = |name: &str| Table::new(&connection, format!("{}-{name}", config.table_prefix), &clock, &calls);
        let control = table("control");
        let holders = Holders::new(&control, &clock);
        let days = |name: &str| Days::new(&control, name, config.shards);
        let turns = list::Turns::new(config.slow_filters);
        let budgets = Budgets { query: config.query_budget, count: config.count_budget, turns };
        let task_days = days("tasks");
        let results = Results {
            table: table("tasks"),
            days: task_days.clone(),
            retention: config.retention,
            clock: Arc::clone(&clock),
        };
        let bulks = Bulks {
            control: control.clone(),
            calls: calls.clone(),
            budgets: budgets.clone(),
            clock: Arc::clone(&clock),
        };
        let runs = Runs::new(&control, config.runs_in, &clock);
        let intents = Intents { control: control.clone(), clock: Arc::clone(&clock) };
        let tasks = Tasks {
            table: table("tasks"),
            data: DataRows::new(&table("tasks"), &task_days),
            marks: Marks::new(&table("tasks")),
            days: task_days,
            own_lanes: OwnLanes::new(&control, config.own_lanes, &clock),
            runs: runs.clone(),
            calls: calls.clone(),
            budgets: budgets.clone(),
            retention: config.retention,
            clock: Arc::clone(&clock),
        };
        Self {
            functions: Functions {
                table: table("functions"),
                generations: Generations::new(table("functions"), calls.clone(), config.shards, process[0]),
                calls: calls.clone(),
            },
            schedules: Schedules {
                table: table("schedules"),
                parts: config.schedules,
                tasks: tasks.clone(),
                intents: intents.clone(),
                calls: calls.clone(),
                budgets: budgets.clone(),
                clock: Arc::clone(&clock),
            },
            canaries: Canaries { control: control.clone(), clock: Arc::clone(&clock) },
            uploads: Uploads { control: control.clone(), clock: Arc::clone(&clock) },
            gates: Gates { tasks: Arc::new(tasks.clone()) },
            debounces: Debounces { control: control.clone(), tasks: tasks.clone(), clock: Arc::clone(&clock) },
            tasks,
            api_requests: ApiRequests {
                table: table("api-requests"),
                days: days("api-requests"),
                budgets,
                retention: config.retention,
                clock: Arc::clone(&clock),
            },
            credentials: Credentials {
                table: table("credentials"),
                accounts: Accounts { table: table("credentials") },
            },
            accounts: Accounts { table: table("credentials") },
            runs,
            slots: SlotLedger { rows: holders.clone(), division: config.slots },
            shifts: Shifts(holders),
            nonces: Nonces { control, calls, clock },
            intents,
            results,
            bulks,
        }
    }

    /// Creates the tables that are not there yet and waits until they can be used, with TTL on. For one machine and
    /// for tests: on AWS the SAM template makes them.
    pub async fn create_tables(&self) -> Result<(), StoreError> {
        let shapes = self.shapes();
        try_join_all(shapes.iter().map(|shape| table::small(schema::ensure(shape)))).await?;
        Ok(())
    }

    /// The tables that there must be: their names, and the names of their indexes.
    pub fn tables(&self) -> Vec<(String, Vec<&'static str>)> {
        let names = |shape: &schema::Shape| shape.indexes.iter().map(schema::Index::name).collect();
        self.shapes().iter().map(|shape| (shape.table.name().to_string(), names(shape))).collect()
    }

    fn shapes(&self) -> [schema::Shape; 6] {
        let shape = |table: &Table, indexes, ttl| schema::Shape { table: table.clone(), indexes, ttl };
        [
            shape(&self.tasks.table, &[TASK_LANES, FUNCTION], true),
            shape(&self.api_requests.table, &[FUNCTION], true),
            shape(&self.schedules.table, &[SCHEDULE_LANES], false),
            shape(&self.functions.table, &[], false),
            shape(&self.credentials.table, &[], false),
            shape(&self.nonces.control, &[], true),
        ]
    }
}
