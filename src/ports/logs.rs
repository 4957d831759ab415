//! Finds the lines that Functions logged.

use serde::{Deserialize, Serialize};
use tasklane_model::{FunctionName, ObjectId, Timestamp};
use utoipa::ToSchema;

use super::{PortError, PortFuture};

/// Finds the log lines of Functions.
pub trait Logs: Send + Sync {
    /// The lines of one run, oldest first.
    fn of_run<'a>(&'a self, query: RunLogQuery<'a>) -> PortFuture<'a, Result<Vec<LogLine>, PortError>>;

    /// The lines of all runs of a Function between two moments, both included, oldest first.
    fn of_function<'a>(
        &'a self,
        function: &'a FunctionName,
        from: Timestamp,
        to: Timestamp,
        page: LogPage,
    ) -> PortFuture<'a, Result<Vec<LogLine>, PortError>>;
}

/// Selects the lines of one run.
#[derive(Clone, Debug)]
pub struct RunLogQuery<'a> {
    /// The Function that ran.
    pub function: &'a FunctionName,
    /// The Task or API Request that it ran for.
    pub correlation: ObjectId,
    /// Lambda's id of the run, if it is already known.
    pub request_id: Option<&'a str>,
    /// The start of the run.
    pub from: Timestamp,
    /// Only lines that are not older than this. Unlike `from` and `to`, it comes from the clock that stamps the lines.
    pub since: Option<Timestamp>,
    /// A time by which the run had certainly ended; no line is newer.
    pub to: Timestamp,
    /// The page of lines.
    pub page: LogPage,
}

/// A page of a list of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// How many lines to skip.
    pub offset: usize,
    /// The maximum number of lines.
    pub limit: usize,
}

/// One line that a Function logged, or that Lambda logged about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When it was logged.
    pub timestamp: Timestamp,
    /// The line, without its line ending.
    pub message: String,
}
