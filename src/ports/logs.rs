//! Finds the lines that Functions logged.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PortError, PortFuture};
use crate::model::{FunctionName, ObjectId, Timestamp};

/// Finds what Functions logged.
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

/// Which run's lines.
#[derive(Clone, Debug)]
pub struct RunLogQuery<'a> {
    /// The Function that ran.
    pub function: &'a FunctionName,
    /// The Task or API Request that it ran for.
    pub correlation: ObjectId,
    /// Lambda's id of the run, when it is known already.
    pub request_id: Option<&'a str>,
    /// When the run began.
    pub from: Timestamp,
    /// No line is older than this, if it is given. Unlike the other two it was told by the clock that stamps the lines.
    pub since: Option<Timestamp>,
    /// No line is younger than this: when it had ended for certain.
    pub to: Timestamp,
    /// Which of the lines.
    pub page: LogPage,
}

/// Which part of a list of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// How many to pass over.
    pub offset: usize,
    /// How many to answer at most.
    pub limit: usize,
}

/// One line that a Function logged, or that Lambda logged about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When.
    pub timestamp: Timestamp,
    /// What, without its line end.
    pub message: String,
}
