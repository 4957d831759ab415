//! What a bulk operation does with one Task. Each act recognises what it did before, so that it can be repeated.

use std::sync::Arc;

use tasklane_model::{BulkOrder, ObjectId, SkipReason, Task, TaskOrigin, TaskStatus, Timestamp};
use tasklane_ports::Ports;
use tasklane_store::{CancelOutcome, Edited, Store, StoreError, TaskEdit};
use tracing::warn;

use crate::{FunctionDirectory, cancel, occurrences::task_of};

/// What became of one Task: it was acted on, or passed over.
pub(super) type Outcome = Result<(), SkipReason>;

/// The acts of one operation.
pub(super) struct Acts<'a> {
    pub(super) store: &'a Store,
    pub(super) ports: &'a Ports,
    pub(super) functions: &'a FunctionDirectory,
    /// The operation.
    pub(super) operation: ObjectId,
    pub(super) order: &'a BulkOrder,
    /// Who created the operation.
    pub(super) origin: &'a TaskOrigin,
    /// The time of the slice.
    pub(super) at: Timestamp,
}

impl Acts<'_> {
    /// Acts on a Task. An error only if it may be gone when this is repeated.
    pub(super) async fn on(&self, id: ObjectId) -> Result<Outcome, StoreError> {
        let outcome = match self.order {
            BulkOrder::Cancel => self.cancel(id).await,
            BulkOrder::Replay { .. } => self.replay(id).await,
            BulkOrder::RetryNow => {
                let at = self.at;
                let edit = |task: &Task| (task.start_timestamp > at).then(|| starting(at));
                self.edit(id, edit).await
            }
            BulkOrder::Reschedule { start } => self.edit(id, |_| Some(starting(*start))).await,
            BulkOrder::Backfill { schedule } => self.backfill(*schedule, id).await,
            BulkOrder::SetPriority { priority } => {
                self.edit(id, |_| Some(TaskEdit { priority: Some(*priority), ..TaskEdit::default() })).await
            }
        };
        match outcome {
            Err(error @ StoreError::Corrupt { .. }) => {
                warn!(task = %id, operation = %self.operation, %error, "a bulk operation passes over a task");
                Ok(Err(SkipReason::Unreadable))
            }
            outcome => outcome,
        }
    }

    async fn cancel(&self, id: ObjectId) -> Result<Outcome, StoreError> {
        Ok(match cancel(self.store, self.ports, self.functions, id, Some(self.operation)).await? {
            CancelOutcome::Canceled(_) => Ok(()),
            CancelOutcome::Unknown => Err(SkipReason::NotFound),
            CancelOutcome::NotNew(_) => Err(SkipReason::NotNew),
            // Cannot happen, because the Task that follows was given. The Task still waits, so the act can be repeated.
            CancelOutcome::IsFollowed(_) => return Err(StoreError::Contended { action: "cancel the task" }),
        })
    }

    async fn edit(&self, id: ObjectId, edit: impl Fn(&Task) -> Option<TaskEdit>) -> Result<Outcome, StoreError> {
        Ok(match self.store.tasks.edit_new_by(id, self.operation, self.at, edit).await? {
            Edited::Done(_) => Ok(()),
            Edited::Unchanged(_) => Err(SkipReason::Due),
            Edited::NotNew(_) => Err(SkipReason::NotNew),
            Edited::Superseded => Err(SkipReason::Superseded),
            Edited::Unknown => Err(SkipReason::NotFound),
        })
    }

    /// Creates a Task under an id that follows from the operation and the Task that it replays.
    async fn replay(&self, id: ObjectId) -> Result<Outcome, StoreError> {
        let BulkOrder::Replay { data, start, priority } = self.order else { return Ok(Err(SkipReason::NotFinal)) };
        let replay = ObjectId::derived_at(self.at, &[self.operation, id]);
        let Some(record) = self.store.tasks.get(id).await? else {
            return self.unless_created(replay, SkipReason::NotFound).await;
        };
        match record.task.status {
            TaskStatus::New | TaskStatus::InProgress => return Ok(Err(SkipReason::NotFinal)),
            TaskStatus::Retried => return Ok(Err(SkipReason::Retried)),
            TaskStatus::Complete | TaskStatus::Failed | TaskStatus::Canceled => {}
        }
        if record.task.retry_for_task_ids.first().is_some_and(|first| *first > self.operation) {
            // The retry of a Task that this operation created, by a process whose clock is slow.
            return Ok(Err(SkipReason::Younger));
        }
        let function: Option<Arc<_>> = self.functions.read(&record.task.function_name).await?;
        let Some(function) = function else {
            return self.unless_created(replay, SkipReason::FunctionMissing).await;
        };
        let mut task = record.task.replay(replay, self.origin.clone(), self.at);
        task.options.events = function.events;
        task.data = data.clone().or(task.data);
        if self.functions.check_data(&function, task.data.as_ref()).is_err() {
            return self.unless_created(replay, SkipReason::DoesNotFit).await;
        }
        task.start_timestamp = start.unwrap_or(task.start_timestamp);
        task.priority = priority.unwrap_or(task.priority);
        self.store.tasks.create(&task, function.lane, self.at).await?;
        Ok(Ok(()))
    }

    /// Creates the Task of the occurrence at the time of `id`, under an id that follows from it and the operation.
    async fn backfill(&self, schedule: ObjectId, id: ObjectId) -> Result<Outcome, StoreError> {
        let new = ObjectId::derived_at(self.at, &[self.operation, id]);
        let Some(schedule) = self.store.schedules.get(schedule).await? else {
            return self.unless_created(new, SkipReason::NotFound).await;
        };
        let Some(function) = self.functions.read(&schedule.function_name).await? else {
            return self.unless_created(new, SkipReason::FunctionMissing).await;
        };
        if self.functions.check_data(&function, schedule.data.as_ref()).is_err() {
            return self.unless_created(new, SkipReason::DoesNotFit).await;
        }
        let task =
            Task { origin: self.origin.clone(), ..task_of(new, &function, &schedule, id.time(), self.at, self.at) };
        self.store.tasks.create(&task, function.lane, self.at).await?;
        Ok(Ok(()))
    }

    /// The outcome for a Task that cannot be created now: it may have been before the slice was repeated.
    async fn unless_created(&self, new: ObjectId, reason: SkipReason) -> Result<Outcome, StoreError> {
        Ok(if self.store.tasks.get(new).await?.is_some() { Ok(()) } else { Err(reason) })
    }
}

fn starting(at: Timestamp) -> TaskEdit {
    TaskEdit { start: Some(at), ..TaskEdit::default() }
}
