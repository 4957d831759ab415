//! Records the outcomes of runs. Only the attempt that holds a Task can end it.

use tasklane_model::{
    Lane, ObjectId, Task, TaskError, TaskEventKind, TaskEvents, TaskStatus, Timestamp, VersionNumber,
};

use crate::{
    AttemptToken, StoreError, Tasks,
    change::{Change, Condition},
    lanes::{IndexLane, timed},
    row::{EXPIRES, Row, json, number, text, time},
    table::Written,
    transaction::{Refusal, Transacted},
};

use super::{data::DataPlace, row};

/// The retry of a Task.
#[derive(Clone, Copy, Debug)]
pub struct NextTask<'a> {
    pub task: &'a Task,
    /// The lane for the Task when it is due.
    pub queue: Lane,
    /// The place of the data, which the Task shares with the one that it retries.
    pub data: DataPlace,
    /// What is to be published about the Task that it retries.
    pub events: TaskEvents,
    /// As [`Consequences::ran`].
    pub ran: Option<VersionNumber>,
}

/// What the end of a Task brings about besides its new status.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consequences<'a> {
    /// The Task that follows.
    pub then: Option<&'a Following>,
    /// What is to be published. The row stays in lane `unpublished` until that is acknowledged.
    pub events: TaskEvents,
    /// The version of the Function that ran it, if the claim did not record it.
    pub ran: Option<VersionNumber>,
}

/// The Task that is added when another one becomes final.
#[derive(Clone, Debug)]
pub struct Following {
    pub task: Task,
    /// The lane for the Task.
    pub queue: Lane,
}

impl Tasks {
    /// `inProgress → complete`. `false` if the Task no longer belongs to this attempt.
    pub async fn complete(
        &self,
        id: ObjectId,
        attempt: &AttemptToken,
        request_id: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.complete_then(id, attempt, request_id, Consequences::default(), now).await
    }

    /// [`Tasks::complete`] with its consequences, in one transaction.
    pub async fn complete_then(
        &self,
        id: ObjectId,
        attempt: &AttemptToken,
        request_id: Option<&str>,
        Consequences { then, events, ran }: Consequences<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some((partition, shard)) = self.days.partition_of(id).await? else { return Ok(false) };
        let change = ended(TaskStatus::Complete, attempt, request_id, now);
        let change = self.leave_lane(ran_by(change, ran), (shard, id), events, now);
        match self.end("complete the task", &partition, id, change, then, now).await? {
            Written::Done(row) => {
                if events.is_empty() {
                    self.let_companions_expire(row.as_ref(), shard, now).await;
                }
                Ok(true)
            }
            Written::Refused(Some(row)) => is_ours(&row, attempt, TaskStatus::Complete),
            Written::Refused(None) => Ok(false),
        }
    }

    /// `inProgress → failed`, with its event unpublished. A message longer than 32 KB is cut. `false` if the Task no
    /// longer belongs to this attempt.
    pub async fn fail(
        &self,
        id: ObjectId,
        attempt: &AttemptToken,
        error: &TaskError,
        request_id: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.fail_then(id, attempt, error, request_id, Consequences::default(), now).await
    }

    /// [`Tasks::fail`] with its consequences, in one transaction. `task_failed` is always to be published.
    pub async fn fail_then(
        &self,
        id: ObjectId,
        attempt: &AttemptToken,
        error: &TaskError,
        request_id: Option<&str>,
        Consequences { then, events, ran }: Consequences<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some((partition, shard)) = self.days.partition_of(id).await? else { return Ok(false) };
        let error = error.shortened();
        self.marks.put_status(shard, id, TaskStatus::Failed, self.expires(now)).await?;
        let change = ended(TaskStatus::Failed, attempt, request_id, now).set("error", json(&error));
        let change = ran_by(change, ran);
        let events = events.iter().chain([TaskEventKind::TaskFailed]).collect();
        let change = self.leave_lane(change, (shard, id), events, now);
        match self.end("fail the task", &partition, id, change, then, now).await? {
            Written::Done(_) => Ok(true),
            // A ticker may have failed the Task with the same attempt: with another error, or, if this is a ticker too, at
            // another time. Then this was not our write, and the ticker that made it publishes the event.
            Written::Refused(Some(row)) => Ok(is_ours(&row, attempt, TaskStatus::Failed)?
                && row.optional_json::<TaskError>("error")? == Some(error)
                && row.time("statusChanged")? == now),
            Written::Refused(None) => Ok(false),
        }
    }

    /// The part of the change that takes a Task that ends at `now` out of its lane: to the events to be published, if any.
    pub(super) fn leave_lane(
        &self,
        change: Change,
        (shard, id): (u8, ObjectId),
        events: TaskEvents,
        now: Timestamp,
    ) -> Change {
        if events.is_empty() {
            return change.set_some(EXPIRES, self.expiry(now)).remove("lane").remove("laneKey");
        }
        // Older processes publish the failure of what is in this lane, so that needs no list.
        let more_than_failure = events != TaskEventKind::TaskFailed.into();
        change
            .set("lane", text(IndexLane::Unpublished.partition(shard)))
            .set("laneKey", text(timed(now, id)))
            .set_some(row::UNPUBLISHED, more_than_failure.then(|| json(&events)))
    }

    /// Makes a Task final, and adds the one that follows, if any, in one transaction. If the response to an earlier try was
    /// lost, the Task that follows shows that it succeeded.
    pub(super) async fn end(
        &self,
        action: &'static str,
        partition: &str,
        id: ObjectId,
        change: Change,
        then: Option<&Following>,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let sk = id.to_string();
        let Some(Following { task: next, queue }) = then else {
            return self.table.update(action, partition, &sk, change).await;
        };
        let next_id = next.id.to_string();
        self.own_lanes.register(*queue, &next.function_name).await?;
        let place = self.days.partition_for(next.id).await?;
        let data = self.put_companions(&place, next).await?;
        let parts = vec![
            self.table.to_update(action, partition, &sk, change.set("followedBy", text(&next_id)))?,
            self.table.to_put_new(action, row::of_new_task(&place, next, *queue, data, now))?,
        ];
        match self.table.transact(action, parts).await? {
            Transacted::Done if self.retention.is_none() => Ok(Written::Done(None)),
            // What the Task has beside its row must expire, too.
            Transacted::Done => Ok(Written::Done(self.table.get(action, partition, &sk).await?)),
            Transacted::Refused(refusals) => match refusals.into_iter().next().flatten() {
                Some(Refusal { row: Some(row) }) if row.optional_text("followedBy")? == Some(&next_id) => {
                    Ok(Written::Done(Some(row)))
                }
                Some(Refusal { row }) => {
                    self.take_companions_back(&place, next.id, data, &next.tags).await;
                    Ok(Written::Refused(row))
                }
                None => Err(StoreError::Corrupt {
                    table: self.table.name().to_string(),
                    key: next_id,
                    why: "another task has the id of the one that follows".to_owned(),
                }),
            },
        }
    }

    /// `inProgress → retried`, and adds `next`, in one transaction. `false` if the Task no longer belongs to this
    /// attempt.
    #[allow(clippy::too_many_arguments)] // one transaction, one call
    pub async fn retry(
        &self,
        id: ObjectId,
        attempt: &AttemptToken,
        error: &TaskError,
        request_id: Option<&str>,
        next: NextTask<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const ACTION: &str = "retry the task";
        let NextTask { task: next, queue, data, events, ran } = next;
        let Some((partition, shard)) = self.days.partition_of(id).await? else { return Ok(false) };
        self.own_lanes.register(queue, &next.function_name).await?;
        let place = self.days.partition_for(next.id).await?;
        self.marks.put_tags(place.1, next.id, &next.tags).await?;
        self.put_expiring(&place, next).await?;
        let change = ended(TaskStatus::Retried, attempt, request_id, now)
            .set("error", json(&error.shortened()))
            .set("retriedBy", text(next.id.to_string()));
        let change = self.leave_lane(ran_by(change, ran), (shard, id), events, now);
        let parts = vec![
            self.table.to_update(ACTION, &partition, &id.to_string(), change)?,
            self.table.to_put_new(ACTION, row::of_new_task(&place, next, queue, data, now))?,
        ];
        match self.table.transact(ACTION, parts).await? {
            Transacted::Done => {
                if let Some(expires) = self.expires(now).filter(|_| events.is_empty()) {
                    // Both Tasks have the same tags.
                    self.marks.expire_tags(shard, id, &next.tags, expires).await;
                }
                Ok(true)
            }
            Transacted::Refused(refusals) => match refusals.into_iter().next().flatten() {
                Some(Refusal { row: Some(row) }) => Ok(is_ours(&row, attempt, TaskStatus::Retried)?
                    && row.optional_text("retriedBy")? == Some(&next.id.to_string())),
                Some(Refusal { row: None }) => Ok(false),
                None => Err(StoreError::Corrupt {
                    table: self.table.name().to_string(),
                    key: next.id.to_string(),
                    why: "another task has the id of this retry".to_owned(),
                }),
            },
        }
    }
}

/// The common part of all ends of a run.
fn ended(status: TaskStatus, attempt: &AttemptToken, request_id: Option<&str>, now: Timestamp) -> Change {
    Change::new()
        .set("status", text(status.as_str()))
        .set("statusChanged", time(now))
        .set("updated", time(now))
        .set_some("requestId", request_id.map(text))
        .when(held_by(attempt))
}

fn ran_by(change: Change, version: Option<VersionNumber>) -> Change {
    change.set_some(row::VERSION, version.map(|version| number(version.get())))
}

/// The Task is in progress and held by this attempt.
pub(super) fn held_by(attempt: &AttemptToken) -> Condition {
    Condition::new("#status = :running AND #attempt = :attempt")
        .with("running", text(TaskStatus::InProgress.as_str()))
        .with("attempt", text(attempt.as_str()))
}

/// Whether this attempt ended the row in this way: our own write, whose response was lost.
fn is_ours(row: &Row, attempt: &AttemptToken, status: TaskStatus) -> Result<bool, StoreError> {
    Ok(row::attempt(row)?.as_ref() == Some(attempt) && row.parse::<TaskStatus>("status")? == status)
}
