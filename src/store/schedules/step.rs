//! Moves a Schedule on: past an occurrence, and with the Task of it.

use tasklane_model::{Lane, ObjectId, Task, Timestamp};

use super::{ScheduleRecord, Schedules, row};
use crate::{
    StoreError,
    change::Change,
    lanes::timed,
    row::{text, time},
    table::Written,
    tasks::row::of_new_task,
    transaction::{Refusal, Transacted},
};

/// What a Schedule is to be after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The next occurrence, if there is one.
    pub next: Option<Timestamp>,
    /// The occurrences that wait then.
    pub waiting: Vec<Timestamp>,
}

impl Step {
    /// On to `next`, with nothing else.
    pub fn to(next: Option<Timestamp>) -> Self {
        Self { next, waiting: Vec::new() }
    }
}

impl ScheduleRecord {
    /// The Schedule after this step, which was taken at `now` with this Task.
    #[must_use]
    pub fn after(self, step: Step, task: Option<ObjectId>, now: Timestamp) -> Self {
        let mut schedule = self.schedule.clone();
        schedule.next_timestamp = step.next;
        schedule.update_timestamp = now;
        let look = row::look(&schedule, &step.waiting, now);
        Self { schedule, waiting: step.waiting, last_task: task.or(self.last_task), look, ..self }
    }
}

impl Schedules {
    /// Adds the Task of an occurrence and moves the Schedule on, in one transaction. `false` if another process moved or
    /// changed it, or it is gone: then there is no Task.
    pub async fn materialise(
        &self,
        read: &ScheduleRecord,
        step: &Step,
        task: &Task,
        queue: Lane,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const ACTION: &str = "create the task of the schedule";
        self.tasks.own_lanes.register(queue, &task.function_name).await?;
        let place = self.tasks.days.partition_for(task.id).await?;
        let task_id = task.id.to_string();
        let data = self.tasks.put_companions(&place, task).await?;
        let change = moved(read, step, now).set("lastTask", text(&task_id));
        let parts = vec![
            self.table.to_update(ACTION, &read.part.partition(), &read.schedule.id.to_string(), change)?,
            self.tasks.table.to_put_new(ACTION, of_new_task(&place, task, queue, data, now))?,
        ];
        match self.table.transact(ACTION, parts).await? {
            Transacted::Done => Ok(true),
            Transacted::Refused(refusals) => match refusals.into_iter().next().flatten() {
                Some(Refusal { row: Some(row) }) if row.optional_text("lastTask")? == Some(&task_id) => Ok(true),
                Some(Refusal { row: _ }) => {
                    self.tasks.take_companions_back(&place, task.id, data, &task.tags).await;
                    self.tasks.take_expiring_back(&place, task).await;
                    Ok(false)
                }
                None => Err(StoreError::Corrupt {
                    table: self.tasks.table.name().to_string(),
                    key: task_id,
                    why: "another task has the id of this occurrence".to_owned(),
                }),
            },
        }
    }

    /// Moves the Schedule on without a Task. `false` if another process moved or changed it, or it is gone.
    pub async fn pass(&self, read: &ScheduleRecord, step: &Step, now: Timestamp) -> Result<bool, StoreError> {
        let call = self.calls.next();
        let change = moved(read, step, now).set("skippedBy", text(&call));
        let (pk, sk) = (read.part.partition(), read.schedule.id.to_string());
        match self.table.update("move the schedule on", &pk, &sk, change).await? {
            Written::Done(_) => Ok(true),
            Written::Refused(Some(row)) => Ok(row.optional_text("skippedBy")? == Some(&call)),
            Written::Refused(None) => Ok(false),
        }
    }
}

/// Moves the Schedule on, on condition that it has not changed since it was read.
fn moved(read: &ScheduleRecord, step: &Step, now: Timestamp) -> Change {
    let id = read.schedule.id;
    let after = read.clone().after(step.clone(), None, now);
    let mut change = Change::new().set("updated", time(now));
    change = match step.next {
        Some(next) => change.set("next", time(next)),
        None => change.remove("next"),
    };
    change = match row::waiting(&step.waiting) {
        Some(waiting) => change.set("waiting", waiting),
        None if read.waiting.is_empty() => change,
        None => change.remove("waiting"),
    };
    change = match after.look {
        Some(look) => change.set("lane", text(read.part.by_next())).set("laneKey", text(timed(look, id))),
        None => change.remove("lane").remove("laneKey"),
    };
    change.when(row::unchanged(read))
}
