//! Creates, withdraws and cancels Tasks.

use tasklane_model::{Lane, ObjectId, Tags, Task, TaskStatus, Timestamp};
use tracing::warn;

use crate::{
    AttemptToken, CancelOutcome, DataPlace, Following, Run, StoreError, Tasks,
    change::{Change, Condition},
    row::{NewRow, Row, text, time},
    table::Written,
};

use super::{data, outcome::held_by, row};

impl Tasks {
    /// Adds a `new` Task, idempotently: to the waiting lane if its start is after `now`, otherwise to its ready lane.
    pub async fn create(&self, task: &Task, queue: Lane, now: Timestamp) -> Result<(), StoreError> {
        self.own_lanes.register(queue, &task.function_name).await?;
        let place = self.days.partition_for(task.id).await?;
        let data = self.put_companions(&place, task).await?;
        let existing = self.add(task, row::of_new_task(&place, task, queue, data, now)).await?;
        // If it has ended meanwhile, its companions were to expire before they were written again.
        if let Some(row) = existing
            && row.parse::<TaskStatus>("status")?.is_final()
        {
            self.let_companions_expire(Some(&row), place.1, now).await;
        }
        Ok(())
    }

    /// Adds a Task that is `inProgress` from the beginning, for a direct execution. Its run is registered before.
    /// Idempotent. `false` if another run has the Task, because several calls with one idempotency key add it.
    pub async fn create_running(&self, task: &Task, run: &Run) -> Result<bool, StoreError> {
        let place = self.days.partition_for(task.id).await?;
        let data = self.put_companions(&place, task).await?;
        let mut new = row::of_task(&place.0, task, Lane::Shared, data);
        for (name, value) in self.in_progress(place.1, task.id, run) {
            new.set(name, value);
        }
        match self.add(task, new).await? {
            None => Ok(true),
            Some(row) => Ok(row::attempt(&row)?.as_ref() == Some(&run.attempt)),
        }
    }

    /// Deletes a Task that [`Tasks::create_running`] added, if it still belongs to this attempt: its code did not run
    /// and will not.
    pub async fn withdraw(&self, id: ObjectId, attempt: &AttemptToken) -> Result<(), StoreError> {
        let Some(place) = self.days.partition_of(id).await? else { return Ok(()) };
        let gone = self.table.delete_when("withdraw the task", &place.0, &id.to_string(), held_by(attempt)).await?;
        if let Some(row) = gone {
            let tags = row.optional_json::<Tags>("tags")?.unwrap_or_default();
            self.take_companions_back(&place, id, data::place(&row)?, &tags).await;
        }
        Ok(())
    }

    /// `new → canceled`. A Task that another one follows stays as it is, and is returned.
    pub async fn cancel(&self, id: ObjectId, now: Timestamp) -> Result<CancelOutcome, StoreError> {
        self.cancel_then(id, None, None, now).await
    }

    /// `new → canceled`, and adds the Task that follows, if any, in one transaction. A bulk operation recognises what it has
    /// canceled before.
    pub async fn cancel_then(
        &self,
        id: ObjectId,
        then: Option<&Following>,
        operation: Option<ObjectId>,
        now: Timestamp,
    ) -> Result<CancelOutcome, StoreError> {
        const ACTION: &str = "cancel the task";
        let call = match operation {
            Some(operation) => format!("bulk:{operation}"),
            None => self.calls.next(),
        };
        let is_ours = |row: &Row| Ok::<_, StoreError>(row.optional_text("canceledBy")? == Some(&call));
        let Some((partition, shard)) = self.days.partition_of(id).await? else { return Ok(CancelOutcome::Unknown) };
        // Looked at first, so that only Tasks that exist are marked.
        let task = match self.table.get(ACTION, &partition, &id.to_string()).await? {
            None => return Ok(CancelOutcome::Unknown),
            Some(row) => match row.parse("status")? {
                TaskStatus::New => row::read_as_it_is(&row)?.task,
                // Its event is published already, or the ticker will do it.
                _ if is_ours(&row)? => return Ok(CancelOutcome::Canceled(None)),
                _ if row.is_expired(now) => return Ok(CancelOutcome::Unknown),
                status => return Ok(CancelOutcome::NotNew(status)),
            },
        };
        if then.is_none() && task.options.on_complete.is_some() {
            return Ok(CancelOutcome::IsFollowed(Box::new(task)));
        }
        self.marks.put_status(shard, id, TaskStatus::Canceled, self.expires(now)).await?;
        let events = task.options.events.at_end(TaskStatus::Canceled, true);
        let change = Change::new()
            .set("status", text(TaskStatus::Canceled.as_str()))
            .set("statusChanged", time(now))
            .set("updated", time(now))
            .set("canceledBy", text(&call))
            .when(Condition::new("#status = :new").with("new", text(TaskStatus::New.as_str())));
        let change = self.leave_lane(change, (shard, id), events, now);
        let canceled = || {
            let task = task.clone().ended(TaskStatus::Canceled, None, now);
            CancelOutcome::Canceled(Some(Box::new(task)))
        };
        match self.end(ACTION, &partition, id, change, then, now).await? {
            Written::Done(row) => {
                if events.is_empty() {
                    self.let_companions_expire(row.as_ref(), shard, now).await;
                }
                Ok(canceled())
            }
            Written::Refused(None) => Ok(CancelOutcome::Unknown),
            Written::Refused(Some(row)) if is_ours(&row)? => Ok(canceled()),
            Written::Refused(Some(row)) if row.is_expired(now) => Ok(CancelOutcome::Unknown),
            Written::Refused(Some(row)) => Ok(CancelOutcome::NotNew(row.parse("status")?)),
        }
    }

    /// Writes what a new Task has beside its row: its large data, whose place is returned, the marks of its tags, and when it
    /// expires. To be called before the Task is added.
    pub(crate) async fn put_companions(&self, place: &(String, u8), task: &Task) -> Result<DataPlace, StoreError> {
        self.marks.put_tags(place.1, task.id, &task.tags).await?;
        self.put_expiring(place, task).await?;
        self.data.put(&place.0, task).await
    }

    /// Removes what [`Tasks::put_companions`] wrote, of a Task that was not added or was withdrawn.
    pub(crate) async fn take_companions_back(&self, place: &(String, u8), id: ObjectId, data: DataPlace, tags: &Tags) {
        self.data.take_back(&place.0, id, data).await;
        self.marks.take_back(place.1, id, tags).await;
    }

    /// To be called after the write that ended a Task, with the row that the write returned.
    pub(super) async fn let_companions_expire(&self, row: Option<&Row>, shard: u8, now: Timestamp) {
        let (Some(row), Some(expires)) = (row, self.expires(now)) else { return };
        // A Task that was retried shares its data with its retry.
        if row.optional_text("retriedBy").ok().flatten().is_none() {
            self.data.expire(row, expires).await;
        }
        match (row::id(row), row.optional_json::<Tags>("tags")) {
            (Ok(id), Ok(Some(tags))) => self.marks.expire_tags(shard, id, &tags, expires).await,
            (Ok(_), Ok(None)) => {}
            (Err(error), _) | (_, Err(error)) => warn!(%error, "the marks of a task that has ended do not expire"),
        }
    }

    /// Adds a Task. If it exists, returns its row as it is now.
    async fn add(&self, task: &Task, new: NewRow) -> Result<Option<Row>, StoreError> {
        match self.table.put("add the task", new, Condition::absent()).await? {
            Written::Done(_) | Written::Refused(None) => Ok(None),
            // Ids are never reused, so this is our own write, whose response was lost, or that of a call with the same
            // idempotency key.
            Written::Refused(Some(row)) if is_of(&row, task)? => Ok(Some(row)),
            Written::Refused(Some(row)) => Err(row.corrupt("another task has this id")),
        }
    }
}

/// Whether the row belongs to this Task, whatever happened to it since: its start, priority and data may have been changed.
fn is_of(row: &Row, task: &Task) -> Result<bool, StoreError> {
    Ok(row.text("function")? == task.function_name.as_str() && row.time("created")? == task.creation_timestamp)
}
