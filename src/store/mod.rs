//! The tables: their keys, every read and every write.
//!
//! There is one store, on DynamoDB: on AWS the real one, on one machine the embedded one of `local::database`.
//! `docs/access-patterns.md` lists what each call reads and writes, and what it costs.

use std::{sync::Arc, time::Duration};

use crate::ports::Clock;

pub mod api_requests;
pub mod credentials;
pub mod error;
pub mod functions;
pub mod lanes;
pub mod nonces;
pub mod run;
pub mod schedules;
pub mod slots;
pub mod tasks;

pub use api_requests::ApiRequests;
pub use credentials::Credentials;
pub use error::StoreError;
pub use functions::{Functions, Revision, Versioned};
pub use lanes::{QueueLane, ReadyKey};
pub use nonces::Nonces;
pub use run::{AttemptToken, Run, RunnerId};
pub use schedules::Schedules;
pub use slots::{SlotLedger, SlotScope};
pub use tasks::{CancelOutcome, Candidate, TaskRecord, Tasks};

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
    /// Who holds how many of the slots that limit running Tasks.
    pub slots: SlotLedger,
    /// The OAuth nonces seen before.
    pub nonces: Nonces,
}

/// How the store is set up.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// What the names of the tables begin with: `<prefix>-tasks` and so on.
    pub table_prefix: String,
    /// Into how many partitions each day and each lane is divided, 1–64. Each takes about 300 Tasks a second on AWS.
    /// A change holds for the days that follow.
    pub shards: u8,
    /// How long finished Tasks and API Requests are kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// How long a list may look for its page (contract §8: 21 after it).
    pub query_budget: Duration,
    /// How long a list goes on counting once its page is found; then `total` is a lower bound.
    pub count_budget: Duration,
}

impl StoreConfig {
    /// The defaults, for tables of this prefix.
    pub fn new(table_prefix: impl Into<String>) -> Self {
        Self {
            table_prefix: table_prefix.into(),
            shards: 1,
            retention: None,
            query_budget: Duration::from_secs(5),
            count_budget: Duration::from_millis(300),
        }
    }
}

impl Store {
    /// The tables that `client` reaches. Makes no call.
    pub fn new(client: aws_sdk_dynamodb::Client, config: StoreConfig, clock: Arc<dyn Clock>) -> Self {
        let _ = (client, config, clock);
        todo!()
    }

    /// Creates the tables that are not there yet and waits until they can be used, with TTL on. For one machine and
    /// for tests: on AWS the SAM template makes them.
    pub async fn create_tables(&self) -> Result<(), StoreError> {
        todo!()
    }
}
