//! What Functions logged: by Task, by API Request, by Function.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::Service;
use crate::{
    model::{Error, ErrorKind, FunctionName, ObjectId, PageWindow, Result, TaskStatus, Timestamp},
    ports::{LogLine, LogPage, PortError, RunLogQuery},
    rql::{FunctionLogBounds, RunLogBounds, Window},
};

/// The answer of a logs endpoint: `{page: {offset, limit}, data: [{message, timestamp}]}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogsAnswer {
    /// Where in the lines this page lies.
    pub page: PageWindow,
    /// The lines, oldest first.
    pub data: Vec<LogLine>,
}

/// How long after a run had ended its last lines may still be stamped.
const STRAGGLERS: Duration = Duration::from_secs(60);

impl Service {
    /// What a Task's run logged; 16 when there is no such Task, 27 before it ran, 1408 when nothing is found yet.
    pub async fn task_logs(&self, id: ObjectId, bounds: &RunLogBounds) -> Result<LogsAnswer> {
        let record = self.inner.store.tasks.get(id).await?.ok_or_else(|| Error::unknown("task", id))?;
        let task = record.task;
        let to = match task.status {
            TaskStatus::New | TaskStatus::Canceled => {
                let message = format!("The task is {}: it has not run, so it has no logs.", task.status);
                return Err(Error::new(ErrorKind::IllegalState, message));
            }
            TaskStatus::InProgress => self.inner.ports.clock.now(),
            TaskStatus::Complete | TaskStatus::Failed | TaskStatus::Retried => task.status_changed_timestamp,
        };
        let started = record.run.map_or(task.creation_timestamp, |run| run.started);
        self.run_logs(&task.function_name, id, record.request_id.as_deref(), started, to, bounds).await
    }

    /// What an API Request's run logged; 16 when there is no such record, 1408 when nothing is found yet.
    pub async fn api_request_logs(&self, id: ObjectId, bounds: &RunLogBounds) -> Result<LogsAnswer> {
        let found = self.inner.store.api_requests.get(id).await?;
        let request = found.ok_or_else(|| Error::unknown("API request", id))?;
        let ended = request.timestamp.saturating_add(Duration::from_secs_f64(request.duration.clamp(0.0, 900.0)));
        let request_id = request.request_id.as_deref();
        self.run_logs(&request.function_name, id, request_id, request.timestamp, ended, bounds).await
    }

    /// What a Function logged between two moments, through whatever run (deprecated endpoint). 16 when there is no
    /// such Function.
    pub async fn function_logs(&self, name: &str, bounds: &FunctionLogBounds) -> Result<Vec<LogLine>> {
        let unknown = || Error::unknown("function", name.chars().take(64).collect::<String>());
        let name = FunctionName::parse(name).map_err(|_| unknown())?;
        self.inner.functions.find(&name).await?.ok_or_else(unknown)?;
        let page = log_page(bounds.window);
        let lines = self.inner.ports.logs.of_function(&name, bounds.from, bounds.to, page).await;
        lines.map_err(Error::internal)
    }

    async fn run_logs(
        &self,
        function: &FunctionName,
        correlation: ObjectId,
        request_id: Option<&str>,
        started: Timestamp,
        ended: Timestamp,
        bounds: &RunLogBounds,
    ) -> Result<LogsAnswer> {
        let query = RunLogQuery {
            function,
            correlation,
            request_id,
            from: bounds.from.map_or(started, |from| from.max(started)),
            to: ended.saturating_add(STRAGGLERS),
            page: log_page(bounds.window),
        };
        let data = self.inner.ports.logs.of_run(query).await.map_err(|error: PortError| Error::internal(error))?;
        if data.is_empty() && bounds.window.offset == 0 && bounds.from.is_none() {
            let message = "No log lines were found yet; they may arrive a moment after the run.";
            return Err(Error::new(ErrorKind::NoTaskLogsFound, message));
        }
        let Window { limit, offset } = bounds.window;
        Ok(LogsAnswer { page: PageWindow { total: None, total_is_exact: None, offset, limit }, data })
    }
}

fn log_page(window: Window) -> LogPage {
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    LogPage { offset: size(window.offset), limit: size(window.limit) }
}
