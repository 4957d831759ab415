//! Finds the Tasks that have waited longer than they may, and fails them.
//!
//! The ready lanes are ordered by priority, so nothing in them shows which Tasks have expired. A Task with a time has a
//! companion, a small row in a lane that is ordered by that time. It is written before the Task and removed after its time.

use std::time::Duration;

use tasklane_model::{ObjectId, Task, TaskError, TaskStatus, Timestamp};
use tracing::warn;

use crate::{
    Following, StoreError, TaskRecord, Tasks,
    change::{Change, Condition},
    lanes::{IndexLane, time_of, timed},
    row::{NewRow, Row, json, text, time},
    table::Written,
};

use super::{row, watch::first_after};

/// The first format with Tasks that expire.
pub(super) const FORMAT: u32 = 2;

/// How long the companion of a Task that does not exist is kept: its Task may still be written.
const KEPT_WITHOUT_TASK: Duration = Duration::from_secs(3600);

/// When to look again for a Task that does not exist.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// A companion whose time has come.
#[derive(Clone, Debug)]
pub struct Expiring {
    /// Its Task.
    pub id: ObjectId,
    pk: String,
    key: String,
}

/// What became of a Task whose time to wait is over.
#[derive(Debug)]
pub enum Expired {
    /// It has failed.
    Failed(Box<TaskRecord>),
    /// Another Task follows when it ends: see [`Tasks::expire_then`]. It is as it was, and still waits.
    IsFollowed(Box<Task>),
    /// It has started or ended, or does not exist, or its time has not come.
    Not,
}

impl Tasks {
    /// Writes the companion of a Task, if it has a time. To be called before the Task is added.
    ///
    /// If the Task is added once more after its start was changed, its companion may have another time, and the earlier one
    /// stays: a companion that is too early is moved when its time comes, and one that is too late lets its Task wait.
    pub(crate) async fn put_expiring(&self, (partition, shard): &(String, u8), task: &Task) -> Result<(), StoreError> {
        let (Some(row), Some(not_after)) = (companion(partition, *shard, task), task.not_after()) else {
            return Ok(());
        };
        let earlier =
            Condition::new("attribute_not_exists(#pk) OR #laneKey > :key").with("key", text(timed(not_after, task.id)));
        self.table.put("note when the task expires", row, earlier).await.map(|_| ())
    }

    /// Removes what [`Tasks::put_expiring`] wrote, of a Task that was not added. If this fails, the ticker does it later.
    pub(crate) async fn take_expiring_back(&self, (partition, _): &(String, u8), task: &Task) {
        const ACTION: &str = "forget when the task expires";
        if task.not_after().is_none() {
            return;
        }
        let (pk, sk) = (companions(partition), task.id.to_string());
        if let Err(error) = self.table.delete_when(ACTION, &pk, &sk, Condition::new("")).await {
            warn!(task = %task.id, %error, "the companion of a task that is gone was not removed");
        }
    }

    /// At most `limit` companions whose time has come, earliest first.
    pub async fn expiring(&self, now: Timestamp, limit: usize) -> Result<Vec<Expiring>, StoreError> {
        let rows = self.lane_rows(&IndexLane::Expiring, Some(&first_after(now)), Some(limit)).await?;
        let read = |row: &Row| {
            Ok(Expiring { id: row::id(row)?, pk: row.text("pk")?.to_owned(), key: row.text("laneKey")?.to_owned() })
        };
        rows.iter().map(read).collect()
    }

    /// When the first companion's time comes.
    pub async fn earliest_expiring(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.lane_rows(&IndexLane::Expiring, None, Some(1)).await?;
        let at =
            |row: &Row| time_of(row.text("laneKey")?).ok_or_else(|| row.corrupt("its key in its lane is not a time"));
        rows.first().map(at).transpose()
    }

    /// Fails the Task of a companion if it still waits, and then removes the companion.
    pub async fn settle_expiring(&self, companion: &Expiring, now: Timestamp) -> Result<Expired, StoreError> {
        let task = self.rows_with(&[companion.id]).await?.pop();
        let task = task.filter(|row| !row.is_expired(now)).map(|row| row::read_as_it_is(&row)).transpose()?;
        let waits_until = match &task {
            Some(record) if record.task.status == TaskStatus::New => record.task.not_after(),
            Some(_) => None,
            None if companion.id.time().saturating_add(KEPT_WITHOUT_TASK) > now => Some(now.saturating_add(LOOK_AGAIN)),
            None => None,
        };
        match waits_until {
            // The index still showed the companion as it was before the Task's start was changed.
            Some(later) if later > now => {
                self.move_companion(companion, later).await?;
                Ok(Expired::Not)
            }
            Some(_) => {
                let expired = self.expire(companion.id, now).await?;
                match expired {
                    // It is removed when the Task has ended.
                    Expired::IsFollowed(_) => {}
                    Expired::Failed(_) | Expired::Not => self.remove_companion(companion).await?,
                }
                Ok(expired)
            }
            None => {
                self.remove_companion(companion).await?;
                Ok(Expired::Not)
            }
        }
    }

    /// `new → failed`, if the Task has waited longer than it may. Its event is unpublished.
    pub async fn expire(&self, id: ObjectId, now: Timestamp) -> Result<Expired, StoreError> {
        self.expire_then(id, None, now).await
    }

    /// [`Tasks::expire`], and adds the Task that follows, in one transaction.
    pub async fn expire_then(
        &self,
        id: ObjectId,
        then: Option<&Following>,
        now: Timestamp,
    ) -> Result<Expired, StoreError> {
        const ACTION: &str = "let the task expire";
        let Some((partition, shard)) = self.days.partition_of(id).await? else { return Ok(Expired::Not) };
        self.marks.put_status(shard, id, TaskStatus::Failed, self.expires(now)).await?;
        let call = self.calls.next();
        let change = Change::new()
            .set("status", text(TaskStatus::Failed.as_str()))
            .set("statusChanged", time(now))
            .set("updated", time(now))
            .set("error", json(&TaskError::expired()))
            .set("expiredBy", text(&call))
            .set("lane", text(IndexLane::Unpublished.partition(shard)))
            .set("laneKey", text(timed(now, id)))
            .when(
                Condition::new(match then {
                    None => "#status = :new AND #notAfter <= :now AND attribute_not_exists(#follow)",
                    Some(_) => "#status = :new AND #notAfter <= :now",
                })
                .with("new", text(TaskStatus::New.as_str()))
                .with("now", time(now)),
            );
        let written = match self.end(ACTION, &partition, id, change, then, now).await? {
            // A transaction does not return the row.
            Written::Done(None) => Written::Done(self.table.get(ACTION, &partition, &id.to_string()).await?),
            written => written,
        };
        match written {
            Written::Done(Some(row)) => Ok(Expired::Failed(Box::new(row::read_as_it_is(&row)?))),
            Written::Refused(Some(row)) if then.is_none() && has_expired(&row, now)? => {
                Ok(Expired::IsFollowed(Box::new(row::read_as_it_is(&row)?.task)))
            }
            Written::Refused(Some(row)) if row.optional_text("expiredBy")? == Some(&call) => {
                Ok(Expired::Failed(Box::new(row::read_as_it_is(&row)?)))
            }
            Written::Done(None) | Written::Refused(_) => Ok(Expired::Not),
        }
    }

    async fn move_companion(&self, companion: &Expiring, to: Timestamp) -> Result<(), StoreError> {
        let change = Change::new().set("laneKey", text(timed(to, companion.id))).when(as_read(companion));
        let id = companion.id.to_string();
        self.table.update("note when the task expires", &companion.pk, &id, change).await.map(|_| ())
    }

    /// A companion that was changed since it was read stays.
    async fn remove_companion(&self, companion: &Expiring) -> Result<(), StoreError> {
        const ACTION: &str = "forget when the task expires";
        let id = companion.id.to_string();
        self.table.delete_when(ACTION, &companion.pk, &id, as_read(companion)).await.map(|_| ())
    }
}

/// The companion of a Task, if it has a time.
pub(super) fn companion(partition: &str, shard: u8, task: &Task) -> Option<NewRow> {
    let not_after = task.not_after()?;
    let mut row = NewRow::new(companions(partition), task.id).in_format(FORMAT);
    row.set("lane", text(IndexLane::Expiring.partition(shard)));
    row.set("laneKey", text(timed(not_after, task.id)));
    Some(row)
}

/// The condition that a Task may start now.
pub(super) fn may_start(condition: Condition, now: Timestamp) -> Condition {
    condition.and("(attribute_not_exists(#notAfter) OR #notAfter > :now)").with("now", time(now))
}

/// Whether the row is that of a Task that has waited longer than it may.
pub(super) fn has_expired(row: &Row, now: Timestamp) -> Result<bool, StoreError> {
    let is_new = row.parse::<TaskStatus>("status")? == TaskStatus::New;
    Ok(is_new && row.optional_time("notAfter")?.is_some_and(|not_after| not_after <= now))
}

fn as_read(companion: &Expiring) -> Condition {
    Condition::new("#laneKey = :read").with("read", text(&companion.key))
}

/// Another partition than the Task's, so that a list of Tasks does not read over the companions.
fn companions(partition: &str) -> String {
    format!("expiring:{partition}")
}
