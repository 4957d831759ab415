//! The attempts at a Task: itself, and the Tasks before and after it in its chain of retries.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ObjectId, Task, TaskError, TaskStatus, Timestamp};

/// One Task of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its id.
    pub task_id: ObjectId,
    /// Its status.
    pub status: TaskStatus,
    /// When it was created: the first Task by a caller, each later one when the run before it failed.
    pub creation_timestamp: Timestamp,
    /// When it was due.
    pub start_timestamp: Timestamp,
    /// When a dispatcher claimed it to run it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub claimed_timestamp: Option<Timestamp>,
    /// When it reached its final status.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_timestamp: Option<Timestamp>,
    /// Why it failed or was retried.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<TaskError>,
}

impl Attempt {
    /// The attempt of a Task that was claimed at this time, if it was.
    pub fn of(task: &Task, claimed: Option<Timestamp>) -> Self {
        Self {
            task_id: task.id,
            status: task.status,
            creation_timestamp: task.creation_timestamp,
            start_timestamp: task.start_timestamp,
            claimed_timestamp: claimed,
            ended_timestamp: task.status.is_final().then_some(task.status_changed_timestamp),
            error: task.error.clone(),
        }
    }
}
