//! Changes Tasks that have not started: their start, their priority, their data.
//!
//! A change is decided on the row as it was read, and written on condition that the row is still the same: `new`, in the
//! same place in the same lane, and with the same data. So it cannot undo what a claim, a promotion or another change did
//! meanwhile; those have the same condition on the Task's place.

use std::time::Duration;

use tasklane_model::{Json, ObjectId, Priority, Task, TaskStatus, Timestamp};
use tasklane_runtime::backoff::Backoff;

use crate::{
    DataPlace, QueueLane, ReadyKey, StoreError, Tasks,
    change::{Change, Condition},
    lanes::{IndexLane, timed},
    row::{Row, number, text, time},
    table::Written,
    transaction::{Refusal, Transacted},
};

use super::{expiring, row};

/// The first format with Tasks that were changed: an older process would promote them by their old start.
const FORMAT: u32 = 2;

/// How many changes before the last one are remembered.
const EARLIER_EDITS: usize = 8;

/// What follows an operation in the mark of its change, so that the operation recognises the change after a later one.
const OF_OPERATION: char = ':';

/// How often a change is decided and written if others change the Task at the same time.
const TRIES: usize = 8;
/// The first pause between these attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(320);

/// What changes in a Task that has not started. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskEdit {
    /// When it is due. If this is in the past, it is due now.
    pub start: Option<Timestamp>,
    /// Its priority.
    pub priority: Option<Priority>,
    /// Its data.
    pub data: Option<NewData>,
}

/// The data that replaces a Task's.
#[derive(Clone, Debug, PartialEq)]
pub struct NewData {
    /// The data.
    pub data: Option<Json>,
    /// A new id for this change. Large data is stored under it, beside the old data, because another process may be
    /// reading the Task at the same time.
    pub id: ObjectId,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Edited {
    /// The Task as it is now, without data that has a row of its own, unless that was read or replaced.
    Done(Box<Task>),
    /// Nothing was to be changed. The Task as it was read.
    Unchanged(Box<Task>),
    /// The Task has started or ended.
    NotNew(TaskStatus),
    /// A later bulk operation has changed the Task.
    Superseded,
    /// The Task does not exist.
    Unknown,
}

impl Tasks {
    /// Changes a Task that has not started. `edit` decides what to change, given the Task without data that has a row of its
    /// own; it is called again if the Task changes before the write.
    pub async fn edit_new(
        &self,
        id: ObjectId,
        now: Timestamp,
        edit: impl Fn(&Task) -> Option<TaskEdit>,
    ) -> Result<Edited, StoreError> {
        self.edit_with(id, now, By::default(), edit).await
    }

    /// [`Tasks::edit_new`], by a bulk operation. It changes each Task once at most, even if it repeats the call, and not
    /// after a later operation did.
    pub async fn edit_new_by(
        &self,
        id: ObjectId,
        operation: ObjectId,
        now: Timestamp,
        edit: impl Fn(&Task) -> Option<TaskEdit>,
    ) -> Result<Edited, StoreError> {
        self.edit_with(id, now, By { operation: Some(operation), reads_data: false }, edit).await
    }

    /// [`Tasks::edit_new`], for an `edit` that depends on the data: it gets the Task with its data.
    pub async fn edit_new_with_data(
        &self,
        id: ObjectId,
        now: Timestamp,
        edit: impl Fn(&Task) -> Option<TaskEdit>,
    ) -> Result<Edited, StoreError> {
        self.edit_with(id, now, By { operation: None, reads_data: true }, edit).await
    }

    async fn edit_with(
        &self,
        id: ObjectId,
        now: Timestamp,
        by: By,
        edit: impl Fn(&Task) -> Option<TaskEdit>,
    ) -> Result<Edited, StoreError> {
        const ACTION: &str = "change the task";
        let Some((partition, shard)) = self.days.partition_of(id).await? else { return Ok(Edited::Unknown) };
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).spread_by(|| self.calls.spread()).take(TRIES - 1);
        loop {
            let Some(mut read) = self.table.get(ACTION, &partition, &id.to_string()).await? else {
                return Ok(Edited::Unknown);
            };
            if read.is_expired(now) {
                return Ok(Edited::Unknown);
            }
            if let Some(operation) = by.operation {
                let last = last_operation(&read)?;
                if last == Some(operation) || was_edited_by(&read, operation)? {
                    return Ok(Edited::Done(Box::new(row::read_as_it_is(&read)?.task)));
                }
                if last.is_some_and(|last| last > operation) {
                    return Ok(Edited::Superseded);
                }
            }
            let status = read.parse("status")?;
            if status != TaskStatus::New {
                return Ok(Edited::NotNew(status));
            }
            let record = if by.reads_data {
                read = self.data.attach(read).await?;
                row::read(&read)?
            } else {
                row::read_as_it_is(&read)?
            };
            let Some(wanted) = edit(&record.task) else { return Ok(Edited::Unchanged(Box::new(record.task))) };
            let Some(task) = edited(&record.task, &wanted, now) else {
                return Ok(Edited::Done(Box::new(record.task)));
            };
            let write = Write { partition: &partition, shard, read: &read, operation: by.operation };
            if self.write_edit(ACTION, &write, &task, &wanted, now).await? {
                return Ok(Edited::Done(Box::new(task)));
            }
            let Some(pause) = pauses.next() else { return Err(StoreError::Contended { action: ACTION }) };
            self.clock.sleep(pause).await;
        }
    }

    /// Writes the Task in place of the row that was read. `false` if the row has changed since.
    async fn write_edit(
        &self,
        action: &'static str,
        write: &Write<'_>,
        task: &Task,
        wanted: &TaskEdit,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let call = match write.operation {
            Some(operation) => format!("{operation}{OF_OPERATION}{}", self.calls.next()),
            None => self.calls.next(),
        };
        let mut change = self
            .change_of_lane(write.shard, write.read, task, now)
            .await?
            .set("v", number(FORMAT))
            .set("start", time(task.start_timestamp))
            .set("priority", number(task.priority))
            .set("updated", time(now))
            .set("editedBy", text(&call))
            .set_some("earlierEdits", earlier_edits(write.read)?.map(text))
            .set_some("bulk", write.operation.map(|operation| text(operation.to_string())))
            .set_some("notAfter", task.not_after().map(time))
            .when(as_read(write.read)?);
        let new_data = match &wanted.data {
            None => None,
            Some(new) => {
                let (data_place, _) = self.days.partition_for(new.id).await?;
                let put = self.data.put_for(&data_place, new.id, new.data.as_ref()).await?;
                change = data_change(change, new, put);
                Some((data_place, new.id, put))
            }
        };
        let written = if task.not_after().is_some() {
            self.write_edit_and_companion(action, write, task, change).await?
        } else {
            self.table.update(action, write.partition, &task.id.to_string(), change).await?
        };
        let is_done = match written {
            Written::Done(_) => true,
            Written::Refused(Some(row)) => is_among_edits(&row, &call)?,
            Written::Refused(None) => false,
        };
        match new_data {
            Some(_) if is_done => self.let_replaced_data_expire(write.read, task, now).await,
            Some((partition, id, put)) => self.data.take_back(&partition, id, put).await,
            None => {}
        }
        Ok(is_done)
    }

    /// Not at once: another process that has just read the row still needs it. The Tasks that a retry retries share its data.
    async fn let_replaced_data_expire(&self, read: &Row, task: &Task, now: Timestamp) {
        let unused_from = if task.retry_for_task_ids.is_empty() { Some(now) } else { self.expires(now) };
        if let Some(unused_from) = unused_from {
            self.data.expire(read, unused_from).await;
        }
    }

    /// In one transaction, so that the companion never comes later than the Task expires.
    async fn write_edit_and_companion(
        &self,
        action: &'static str,
        write: &Write<'_>,
        task: &Task,
        change: Change,
    ) -> Result<Written, StoreError> {
        let id = task.id.to_string();
        let mut parts = vec![self.table.to_update(action, write.partition, &id, change)?];
        if let Some(companion) = expiring::companion(write.partition, write.shard, task) {
            parts.push(self.table.to_put(action, companion)?);
        }
        Ok(match self.table.transact(action, parts).await? {
            Transacted::Done => Written::Done(None),
            Transacted::Refused(refusals) => {
                Written::Refused(refusals.into_iter().flatten().next().and_then(|Refusal { row }| row))
            }
        })
    }

    /// The lane of the changed Task, and its place there. A Task whose start stays the same stays in its lane, because a
    /// process with another clock may have put it there.
    async fn change_of_lane(&self, shard: u8, read: &Row, task: &Task, now: Timestamp) -> Result<Change, StoreError> {
        let waiting = IndexLane::Waiting.partition(shard);
        let stays = read.time("start")? == task.start_timestamp;
        let waits = if stays { read.text("lane")? == waiting } else { task.start_timestamp > now };
        let (lane, key) = if waits {
            (waiting, timed(task.start_timestamp, task.id))
        } else {
            let queue = row::queue(read)?;
            self.own_lanes.register(queue, &task.function_name).await?;
            let lane = QueueLane::of(queue, &task.function_name);
            let key = ReadyKey::new(task.priority, task.start_timestamp, task.id);
            (IndexLane::Ready(&lane).partition(shard), key.as_str().to_owned())
        };
        Ok(Change::new().set("lane", text(lane)).set("laneKey", text(key)))
    }
}

/// Who changes a Task.
#[derive(Clone, Copy, Default)]
struct By {
    operation: Option<ObjectId>,
    reads_data: bool,
}

/// A change that is about to be written.
struct Write<'a> {
    partition: &'a str,
    shard: u8,
    /// The row that the change was decided on.
    read: &'a Row,
    operation: Option<ObjectId>,
}

/// The last bulk operation that changed the Task.
fn last_operation(read: &Row) -> Result<Option<ObjectId>, StoreError> {
    read.optional_text("bulk")?.map(|_| read.parse("bulk")).transpose()
}

/// The Task after the change; `None` if it would be the same.
fn edited(task: &Task, edit: &TaskEdit, now: Timestamp) -> Option<Task> {
    let mut edited = Task {
        start_timestamp: edit.start.unwrap_or(task.start_timestamp),
        priority: edit.priority.unwrap_or(task.priority),
        ..task.clone()
    };
    let is_same = (edited.start_timestamp, edited.priority) == (task.start_timestamp, task.priority);
    if let Some(new) = &edit.data {
        edited.data.clone_from(&new.data);
    } else if is_same {
        return None;
    }
    edited.update_timestamp = now;
    Some(edited)
}

fn data_change(change: Change, new: &NewData, place: DataPlace) -> Change {
    match (place, &new.data) {
        (DataPlace::Inside, data) => {
            let change = change.remove("dataOf").remove("dataBytes");
            match data {
                Some(data) => change.set("data", text(data.as_str())),
                None => change.remove("data"),
            }
        }
        (DataPlace::Apart(id), data) => change
            .remove("data")
            .set("dataOf", text(id.to_string()))
            .set("dataBytes", number(data.as_ref().map_or(0, |data| data.as_str().len()))),
    }
}

/// The last changes before this one, newest first. If the response to a change is lost and others change the Task before the
/// call is repeated, they show that it was made: made again, it would add its data to an array twice.
fn earlier_edits(read: &Row) -> Result<Option<String>, StoreError> {
    let last = edits(read)?.take(EARLIER_EDITS).collect::<Vec<_>>();
    Ok((!last.is_empty()).then(|| last.join(" ")))
}

/// Whether this call changed the Task.
fn is_among_edits(row: &Row, call: &str) -> Result<bool, StoreError> {
    Ok(edits(row)?.any(|edit| edit == call))
}

/// Whether this bulk operation is one of the last that changed the Task.
fn was_edited_by(row: &Row, operation: ObjectId) -> Result<bool, StoreError> {
    let operation = operation.to_string();
    Ok(edits(row)?.any(|edit| edit.strip_prefix(&operation).is_some_and(|call| call.starts_with(OF_OPERATION))))
}

/// The marks of the last changes, newest first.
fn edits(row: &Row) -> Result<impl Iterator<Item = &str>, StoreError> {
    let earlier = row.optional_text("earlierEdits")?.into_iter().flat_map(|calls| calls.split(' '));
    Ok(row.optional_text("editedBy")?.into_iter().chain(earlier))
}

/// The Task is as it was read: in the same place in its lane, and with the same data.
fn as_read(read: &Row) -> Result<Condition, StoreError> {
    let condition = Condition::new("#status = :new AND #lane = :lane AND #laneKey = :key")
        .with("new", text(TaskStatus::New.as_str()))
        .with("lane", text(read.text("lane")?))
        .with("key", text(read.text("laneKey")?));
    Ok(match read.optional_text("editedBy")? {
        Some(edited) => condition.and("#editedBy = :edited").with("edited", text(edited)),
        None => condition.and("attribute_not_exists(#editedBy)"),
    })
}
