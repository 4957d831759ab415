//! Publishes events.

use serde::{Deserialize, Serialize};
use tasklane_model::{FunctionName, ObjectId, TaskError, Timestamp};

use super::{PortError, PortFuture};

/// Publishes events, at least once each.
pub trait Events: Send + Sync {
    /// Returns once the event is durably accepted.
    fn publish<'a>(&'a self, event: &'a TaskFailedEvent) -> PortFuture<'a, Result<(), PortError>>;
}

/// The `task_failed` event: `{id, type, content: {id, functionName, error}, creation_timestamp}`, as upstream writes it
/// (contract §4, §12).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFailedEvent {
    /// The Task's id, so that receivers can drop duplicates: a Task fails only once.
    pub id: ObjectId,
    /// Always `task_failed`.
    #[serde(rename = "type")]
    pub kind: TaskFailedKind,
    /// The Task that failed.
    pub content: TaskFailedContent,
    /// When it failed, in milliseconds since the epoch. The same each time the event is published.
    pub creation_timestamp: i64,
}

/// The one value of [`TaskFailedEvent::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskFailedKind {
    /// `task_failed`.
    #[serde(rename = "task_failed")]
    TaskFailed,
}

/// The Task that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskFailedContent {
    /// The Task.
    pub id: ObjectId,
    /// Its Function.
    pub function_name: FunctionName,
    /// The reason.
    pub error: TaskError,
}

impl TaskFailedEvent {
    /// The event of this Task's failure at this time, with the error as the Task shows it.
    pub fn new(task: ObjectId, function_name: FunctionName, error: &TaskError, failed: Timestamp) -> Self {
        Self {
            id: task,
            kind: TaskFailedKind::TaskFailed,
            content: TaskFailedContent { id: task, function_name, error: error.shortened() },
            creation_timestamp: failed.as_millis(),
        }
    }
}
