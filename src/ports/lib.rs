//! The outside world: the few traits with more than one real adapter.
//!
//! `aws` implements them on AWS, `local` on one machine, the simulation with faults. `service` and `dispatch` read the
//! clock and random numbers only through them, and never the environment. The store is not a port: it is always
//! DynamoDB, behind `aws-sdk-dynamodb`. `auth` has ports of its own beside the code that uses them: `SecretBox`,
//! `NonceMemory`, `CredentialSource` and `IssuerDocuments`.
//!
//! | file | port | on AWS | on one machine |
//! |---|---|---|---|
//! | `lambda` | [`Lambda`]: deploys and runs Functions | Lambda | the local Lambda |
//! | `wakeups` | [`Wakeups`]: wakes dispatchers | SQS | a notification in the process |
//! | `events` | [`Events`]: publishes `task_failed` | EventBridge | a file and a webhook |
//! | `logs` | [`Logs`]: finds log lines | CloudWatch Logs | SQLite |
//! | `objects` | [`Objects`]: keeps what is too large for a row | S3 | files |
//! | `uploads` | [`Uploads`]: receives code ahead of its Function | S3 | files |
//! | `clock` | [`Clock`]: tells the time and waits | the system's | the system's, or one that tests set |
//! | `chance` | [`Chance`]: draws random numbers, from which [`Ids`] makes ids | the system's | the system's |

#![warn(missing_docs)]

mod chance;
mod clock;
mod error;
mod events;
mod lambda;
mod logs;
mod objects;
mod uploads;
mod wakeups;

pub use chance::{Chance, Ids, SystemChance};
pub use clock::{Clock, SystemClock};
pub use error::PortError;
pub use events::{Events, TaskEvent, TaskEventContent};
pub use lambda::{
    Code, DeployError, FunctionError, FunctionSpec, HeldCode, Invocation, InvokeError, InvokeRequest, Lambda, Outcome,
};
pub use logs::{LogLine, LogPage, Logs, RunLogQuery};
pub use objects::{InvalidObjectKey, Keep, ObjectKey, Objects};
pub use uploads::{ByteStream, NoUploads, ReceiveError, UploadTarget, Uploads};
pub use wakeups::{Wakeup, Wakeups};

use std::sync::Arc;

use futures::future::BoxFuture;

/// A boxed future: what the methods of a port return, so that `dyn` works.
pub type PortFuture<'a, T> = BoxFuture<'a, T>;

/// Every port, shared by all that need one.
#[derive(Clone)]
pub struct Ports {
    /// Runs Functions.
    pub lambda: Arc<dyn Lambda>,
    /// Wakes dispatchers.
    pub wakeups: Arc<dyn Wakeups>,
    /// Publishes events.
    pub events: Arc<dyn Events>,
    /// Finds log lines.
    pub logs: Arc<dyn Logs>,
    /// Keeps what is too large for a row.
    pub objects: Arc<dyn Objects>,
    /// Receives code ahead of its Function.
    pub uploads: Arc<dyn Uploads>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws ids.
    pub ids: Arc<Ids>,
    /// Draws random numbers.
    pub chance: Arc<dyn Chance>,
}
