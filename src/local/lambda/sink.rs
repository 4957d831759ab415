//! Where log lines go. The local Lambda stores none itself.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use tasklane_model::{FunctionName, ObjectId, Timestamp};

/// One line of a run's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedLine {
    /// The Function that ran.
    pub function: FunctionName,
    /// The Task or API Request that it ran for.
    pub correlation: ObjectId,
    /// Lambda's id of the run.
    pub request_id: Arc<str>,
    /// When it was logged.
    pub timestamp: Timestamp,
    /// The line, without its line end.
    pub message: String,
}

/// Takes the log lines of all runs.
pub trait LogSink: fmt::Debug + Send + Sync {
    /// Takes a line. A Function that logs faster than its lines are taken is slowed down by its full pipe.
    fn write(&self, line: LoggedLine) -> BoxFuture<'_, ()>;

    /// Waits until every line that was taken before can be read.
    fn flush(&self) -> BoxFuture<'_, ()>;
}
