//! The logs of Functions.

use serde::Deserialize;
use tasklane_model::{FunctionName, ObjectId, Timestamp};
use tasklane_ports::LogLine;

use super::{Client, ClientError, Query, listing::PAGE, transport::Call};

/// The run whose lines are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// The run of a Task.
    Task(ObjectId),
    /// The run of an API Request.
    ApiRequest(ObjectId),
}

impl LogSource {
    fn path(self) -> String {
        match self {
            Self::Task(id) => format!("/tasks/v1/{id}/logs"),
            Self::ApiRequest(id) => format!("/tasks/v1/apiRequests/{id}/logs"),
        }
    }
}

#[derive(Deserialize)]
struct LogPage {
    page: Window,
    data: Vec<LogLine>,
}

#[derive(Deserialize)]
struct Window {
    limit: u64,
}

/// The codes for "no lines were found yet", for a Task and for an API Request.
const NO_LOGS_YET: [u16; 2] = [1408, 1413];

impl Client {
    /// Every line of a run since `from`, oldest first; empty if no lines were found yet.
    ///
    /// # Errors
    /// 27 if the Task has not run yet, and the errors that every request can have.
    pub async fn logs(&self, source: LogSource, from: Option<Timestamp>) -> Result<Vec<LogLine>, ClientError> {
        self.first_logs(source, from, usize::MAX).await
    }

    /// The same, but only the first lines: not many more than `most`.
    ///
    /// # Errors
    /// The same.
    pub async fn first_logs(
        &self,
        source: LogSource,
        from: Option<Timestamp>,
        most: usize,
    ) -> Result<Vec<LogLine>, ClientError> {
        let mut lines: Vec<LogLine> = Vec::new();
        loop {
            let query = from.map_or_else(Query::new, |from| Query::new().ge("timestamp", from));
            let query = query.limit(PAGE, lines.len() as u64);
            let page = match self.call::<LogPage>(Call::get(source.path()).query(query.as_rql())).await {
                Ok(page) => page.value,
                Err(e) if e.code().is_some_and(|code| NO_LOGS_YET.contains(&code)) => return Ok(lines),
                Err(e) => return Err(e),
            };
            let count = page.data.len() as u64;
            lines.extend(page.data);
            if count == 0 || count < page.page.limit || lines.len() >= most {
                return Ok(lines);
            }
        }
    }

    /// Every line that a Function printed between two moments, at most 24 hours apart, oldest first. All kinds of runs count.
    ///
    /// # Errors
    /// 16 if there is no such Function, and the errors that every request can have.
    pub async fn function_logs(
        &self,
        name: &FunctionName,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<LogLine>, ClientError> {
        let mut lines: Vec<LogLine> = Vec::new();
        loop {
            let query = Query::new().ge("eventTimestamp", from).le("eventTimestamp", to);
            let query = query.limit(PAGE, lines.len() as u64);
            let call = Call::get(format!("/tasks/v1/functions/{name}/logs")).query(query.as_rql());
            let page = self.call::<Vec<FunctionLine>>(call).await?.value;
            let count = page.len() as u64;
            lines.extend(page.into_iter().map(LogLine::from));
            if count < PAGE {
                return Ok(lines);
            }
        }
    }
}

/// A line as the logs of a Function have it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionLine {
    message: String,
    event_timestamp: Timestamp,
}

impl From<FunctionLine> for LogLine {
    fn from(line: FunctionLine) -> Self {
        Self { timestamp: line.event_timestamp, message: line.message }
    }
}
