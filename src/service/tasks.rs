//! Tasks: create, list, cancel (contract §4).

use tasklane_model::{
    AffectedRecords, Caller, Error, ErrorKind, Json, NewTask, ObjectId, Page, Result, Task, TaskOrigin,
    task::MAX_DATA_BYTES,
};
use tasklane_ports::Wakeup;
use tasklane_rql::Query;
use tasklane_store::CancelOutcome;
use tracing::info;

use super::Service;

impl Service {
    /// A page of Tasks.
    pub async fn list_tasks(&self, caller: &Caller, query: &Query) -> Result<Page<Json>> {
        let _turn = self.turn_of(caller, query).await?;
        Ok(self.inner.store.tasks.list(query, self.inner.ports.clock.now()).await?)
    }

    /// Creates a Task; 16 when its Function does not exist, 15 when `data` is over 250 KB.
    pub async fn create_task(&self, caller: &Caller, new: NewTask) -> Result<Task> {
        check_data_size(new.data.as_ref())?;
        let Some(function) = self.inner.functions.find(&new.function_name).await? else {
            return Err(Error::unknown("function", new.function_name));
        };
        let now = self.inner.ports.clock.now();
        let task = Task {
            data: new.data,
            tags: new.tags,
            start_timestamp: new.start_timestamp.unwrap_or(now),
            priority: new.priority.unwrap_or(function.execution_options.default_priority),
            origin: TaskOrigin::from(caller),
            ..Task::new(self.inner.ports.ids.next(now), new.function_name, now)
        };
        let created = self.inner.store.tasks.create(&task, function.lane, now).await;
        // Even if the store did not respond: the Task may exist, and no other process knows about it.
        self.wake(Wakeup::for_task(task.id, task.start_timestamp.since(now))).await;
        created?;
        info!(task = %task.id, function = %task.function_name, start = %task.start_timestamp, "task created");
        Ok(task)
    }

    /// Cancels a Task; 16 when there is none, 27 unless it is `new`.
    pub async fn cancel_task(&self, id: ObjectId) -> Result<AffectedRecords> {
        match self.inner.store.tasks.cancel(id, self.inner.ports.clock.now()).await? {
            CancelOutcome::Canceled => {
                info!(task = %id, "task canceled");
                Ok(AffectedRecords::ONE)
            }
            CancelOutcome::Unknown => Err(Error::unknown("task", id)),
            CancelOutcome::NotNew(status) => Err(Error::new(
                ErrorKind::IllegalState,
                format!("The task is {status}: only a task that is new can be canceled."),
            )),
        }
    }
}

/// A Task holds at most 250 KB of `data` (contract §4).
pub(super) fn check_data_size(data: Option<&Json>) -> Result<()> {
    let bytes = data.map_or(0, |data| data.as_str().len());
    if bytes <= MAX_DATA_BYTES {
        return Ok(());
    }
    Err(Error::field_format("data", format!("takes {bytes} bytes of JSON; a task holds at most {MAX_DATA_BYTES}")))
}
