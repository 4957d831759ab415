//! The destination of log lines. The local Lambda itself stores none.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use tasklane_model::{FunctionName, ObjectId, Timestamp};

/// One line of a run's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedLine {
    pub function: FunctionName,
    /// The Task or API Request that the run is for.
    pub correlation: ObjectId,
    /// Lambda's id of the run.
    pub request_id: Arc<str>,
    pub timestamp: Timestamp,
    /// The line, without its line break.
    pub message: String,
}

/// Receives the log lines of all runs.
pub trait LogSink: fmt::Debug + Send + Sync {
    /// Accepts a line. If this is slow, a Function that logs a lot is slowed down by its full pipe.
    fn write(&self, line: LoggedLine) -> BoxFuture<'_, ()>;

    /// Waits until all lines accepted so far can be read.
    fn flush(&self) -> BoxFuture<'_, ()>;
}
