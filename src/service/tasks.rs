//! Tasks: create, list, cancel, logs (contract §4).

use serde::Serialize;
use serde_json::Value;

use super::Service;
use crate::{
    model::{AffectedRecords, Caller, Error, NewTask, ObjectId, Page, PageWindow, Result, Task},
    ports::LogLine,
    rql::{LogBounds, Query},
};

/// The answer of a logs endpoint: `{page: {offset, limit}, data: [{message, timestamp}]}`.
#[derive(Clone, Debug, Serialize)]
pub struct LogsAnswer {
    /// Where in the lines this page lies.
    pub page: PageWindow,
    /// The lines, oldest first.
    pub data: Vec<LogLine>,
}

impl Service {
    /// A page of Tasks.
    pub async fn list_tasks(&self, query: &Query) -> Result<Page<Value>> {
        let _ = query;
        Err(Error::internal("not built yet"))
    }

    /// Creates a Task; 16 when its Function does not exist, 15 when `data` is over 250 KB.
    pub async fn create_task(&self, caller: &Caller, new: NewTask) -> Result<Task> {
        let _ = (caller, new);
        Err(Error::internal("not built yet"))
    }

    /// Cancels a Task; 16 when there is none, 27 unless it is `new`.
    pub async fn cancel_task(&self, id: ObjectId) -> Result<AffectedRecords> {
        let _ = id;
        Err(Error::internal("not built yet"))
    }

    /// What a Task's run logged; 16 when there is no such Task, 27 before it ran, 1408 when nothing is found yet.
    pub async fn task_logs(&self, id: ObjectId, bounds: &LogBounds) -> Result<LogsAnswer> {
        let _ = (id, bounds);
        Err(Error::internal("not built yet"))
    }

    /// What a Function logged between two moments, through whatever run (deprecated endpoint).
    pub async fn function_logs(&self, name: &str, bounds: &crate::rql::FunctionLogBounds) -> Result<Vec<LogLine>> {
        let _ = (name, bounds);
        Err(Error::internal("not built yet"))
    }
}
