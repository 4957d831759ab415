//! Publishes events.

use serde::{Deserialize, Serialize};

use super::{PortError, PortFuture};
use crate::model::{FunctionName, ObjectId, TaskError};

/// Publishes events, at least once each.
pub trait Events: Send + Sync {
    /// Answers when the event is on the wire for good.
    fn publish<'a>(&'a self, event: &'a TaskFailedEvent) -> PortFuture<'a, Result<(), PortError>>;
}

/// The `task_failed` event: `{id, type, content: {id, functionName, error}}` (contract §4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFailedEvent {
    /// Stable, so that receivers can drop doubles: the Task's id (a Task fails once).
    pub id: ObjectId,
    /// Always `task_failed`.
    #[serde(rename = "type")]
    pub kind: TaskFailedKind,
    /// What failed.
    pub content: TaskFailedContent,
}

/// The one value of [`TaskFailedEvent::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskFailedKind {
    /// `task_failed`.
    #[serde(rename = "task_failed")]
    TaskFailed,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskFailedContent {
    /// The Task.
    pub id: ObjectId,
    /// Its Function.
    pub function_name: FunctionName,
    /// Why.
    pub error: TaskError,
}

impl TaskFailedEvent {
    /// The event of this Task's failure, with what is kept of the error: receivers see the same as the Task shows.
    pub fn new(task: ObjectId, function_name: FunctionName, error: &TaskError) -> Self {
        Self {
            id: task,
            kind: TaskFailedKind::TaskFailed,
            content: TaskFailedContent { id: task, function_name, error: error.shortened() },
        }
    }
}
