//! Tasks, and the queue that they are.

use crate::model::{FunctionName, Lane, ObjectId, Page, Task, TaskError, TaskStatus, Timestamp};
use crate::rql;

use super::{AttemptToken, QueueLane, ReadyKey, Run, RunnerId, StoreError};

/// The table of Tasks.
#[derive(Clone)]
pub struct Tasks {}

/// A Task with what callers do not see of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRecord {
    /// The Task.
    pub task: Task,
    /// Which lane it queues in when it is due.
    pub queue: Lane,
    /// Its run, once it has begun.
    pub run: Option<Run>,
    /// Lambda's id of the run, once its outcome is known.
    pub request_id: Option<String>,
}

/// A due Task that may be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: ObjectId,
    /// The Function that it runs.
    pub function: FunctionName,
    /// Where it waits for its turn.
    pub lane: QueueLane,
    /// Its place there: candidates of all lanes are claimed in this order.
    pub key: ReadyKey,
}

/// What became of a request to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It will never run.
    Canceled,
    /// There is no such Task.
    Unknown,
    /// It stands elsewhere already.
    NotNew(TaskStatus),
}

impl Tasks {
    /// Adds a `new` Task: to the waiting lane when its start lies after `now`, else to its ready lane.
    pub async fn create(&self, task: &Task, queue: Lane, now: Timestamp) -> Result<(), StoreError> {
        todo!()
    }

    /// Adds a Task that is `inProgress` from the first: a direct execution.
    pub async fn create_running(&self, task: &Task, run: &Run) -> Result<(), StoreError> {
        todo!()
    }

    /// Reads one, strongly consistent.
    pub async fn get(&self, id: ObjectId) -> Result<Option<TaskRecord>, StoreError> {
        todo!()
    }

    /// `new → canceled`.
    pub async fn cancel(&self, id: ObjectId, now: Timestamp) -> Result<CancelOutcome, StoreError> {
        todo!()
    }

    /// The first due Tasks of these lanes together, at most `limit`, best first. On AWS the index may lag behind by
    /// some milliseconds: a candidate may be gone, a fresh Task may not show yet.
    pub async fn heads(&self, lanes: &[QueueLane], limit: usize) -> Result<Vec<Candidate>, StoreError> {
        todo!()
    }

    /// `new → inProgress`, by `run`. `None`: somebody else has it, or it left this lane.
    pub async fn claim(
        &self,
        candidate: &Candidate,
        run: &Run,
        now: Timestamp,
    ) -> Result<Option<TaskRecord>, StoreError> {
        todo!()
    }

    /// Moves a due Task from the shared lane to its Function's own. `false`: it is no longer there.
    pub async fn move_to_own_lane(&self, candidate: &Candidate) -> Result<bool, StoreError> {
        todo!()
    }

    /// The Functions that have, or had, a lane of their own: also those that were deleted since.
    pub async fn own_lanes(&self) -> Result<Vec<FunctionName>, StoreError> {
        todo!()
    }

    /// `inProgress → complete`. `false`: the Task is no longer this attempt's.
    pub async fn complete(
        &self,
        id: ObjectId,
        attempt: &AttemptToken,
        request_id: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        todo!()
    }

    /// `inProgress → failed`, its event not published yet. `false`: the Task is no longer this attempt's.
    pub async fn fail(
        &self,
        id: ObjectId,
        attempt: &AttemptToken,
        error: &TaskError,
        request_id: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        todo!()
    }

    /// `inProgress → retried`, and adds `next`, in one transaction. `false`: the Task is no longer this attempt's.
    #[allow(clippy::too_many_arguments)]
    pub async fn retry(
        &self,
        id: ObjectId,
        attempt: &AttemptToken,
        error: &TaskError,
        request_id: Option<&str>,
        next: &Task,
        queue: Lane,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        todo!()
    }

    /// Moves Tasks that came due from the waiting lane to their ready lanes, the earliest first, at most `limit`.
    /// Answers how many it looked at and moved; fewer than `limit`: no more were due.
    pub async fn promote_due(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        todo!()
    }

    /// When the first of the waiting Tasks is due.
    pub async fn earliest_waiting(&self) -> Result<Option<Timestamp>, StoreError> {
        todo!()
    }

    /// Tasks in progress whose lease is over, the oldest first, at most `limit`.
    pub async fn expired_runs(&self, now: Timestamp, limit: usize) -> Result<Vec<TaskRecord>, StoreError> {
        todo!()
    }

    /// The Tasks in progress of one runner.
    pub async fn runs_of(&self, runner: &RunnerId) -> Result<Vec<TaskRecord>, StoreError> {
        todo!()
    }

    /// Failed Tasks whose event was not acknowledged yet, the oldest first, at most `limit`.
    pub async fn unpublished(&self, limit: usize) -> Result<Vec<TaskRecord>, StoreError> {
        todo!()
    }

    /// Notes that the event of a failed Task was acknowledged.
    pub async fn mark_published(&self, id: ObjectId) -> Result<(), StoreError> {
        todo!()
    }

    /// The records that meet the query, as callers see them.
    pub async fn list(&self, query: &rql::Query, now: Timestamp) -> Result<Page<serde_json::Value>, StoreError> {
        todo!()
    }
}
