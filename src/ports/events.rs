//! Publishes events.

use serde::{Deserialize, Serialize};
use tasklane_model::{FunctionName, ObjectId, Task, TaskError, TaskEventKind, Timestamp};

use super::{PortError, PortFuture};

/// Publishes events, at least once each.
pub trait Events: Send + Sync {
    /// Returns once the event is durably accepted.
    fn publish<'a>(&'a self, event: &'a TaskEvent) -> PortFuture<'a, Result<(), PortError>>;
}

/// An event of a Task: `{id, type, content: {id, functionName, …}, creation_timestamp}`, in upstream's envelope
/// (contract §4, §12).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskEvent {
    /// The same each time the event is published, so that receivers can drop duplicates. That of a failure is the Task's.
    pub id: ObjectId,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: TaskEventKind,
    /// To which Task.
    pub content: TaskEventContent,
    /// When it happened, in milliseconds since the epoch. The same each time the event is published.
    pub creation_timestamp: i64,
}

/// The Task that an event is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskEventContent {
    /// The Task.
    pub id: ObjectId,
    /// Its Function.
    pub function_name: FunctionName,
    /// Why it failed or is retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// The Task that retries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_by_task_id: Option<ObjectId>,
}

impl TaskEvent {
    /// What happened to this Task at this time, with the error as the Task shows it.
    pub fn new(kind: TaskEventKind, task: &Task, at: Timestamp) -> Self {
        let has_started = kind != TaskEventKind::TaskStarted;
        let content = TaskEventContent {
            id: task.id,
            function_name: task.function_name.clone(),
            error: task.error.as_ref().filter(|_| has_started).map(TaskError::shortened),
            retried_by_task_id: task.retried_by_task_id.filter(|_| has_started),
        };
        let id = match kind {
            // Upstream's.
            TaskEventKind::TaskFailed => task.id,
            kind => task.id.derived(kind.as_str()),
        };
        Self { id, kind, content, creation_timestamp: at.as_millis() }
    }
}
