//! The table of Schedules.

mod due;
mod parts;
pub(super) mod row;
mod step;

pub use due::{DuePosition, DueSchedules};
pub use parts::ScheduleParts;
pub use step::Step;

use std::sync::Arc;

use tasklane_model::{Json, ObjectId, Once, OnceScope, Page, Schedule, Timestamp};
use tasklane_ports::Clock;
use tasklane_rql::Query;

use parts::SchedulePart;

use super::{
    Found, Intents, StoreError, Tasks,
    calls::CallTokens,
    change::Condition,
    intents,
    list::{Budgets, Layout, Listed, Plan, page, public},
    table::{Table, Written},
    transaction::{Refusal, Transacted},
};

/// The row exists, and no later version wrote it: part of a condition.
const PRESENT: &str = "attribute_exists(#pk) AND #v <= :format";

/// A Schedule and its internal state.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleRecord {
    pub schedule: Schedule,
    /// Occurrences whose Tasks wait for the end of the one before, earliest first.
    pub waiting: Vec<Timestamp>,
    /// The last Task that was created for an occurrence.
    pub last_task: Option<ObjectId>,
    /// When the engine has to look at it; `None` if nothing is to be done.
    pub look: Option<Timestamp>,
    /// Marks the last change by a caller.
    change: Option<String>,
    /// Where it is.
    part: SchedulePart,
}

#[derive(Clone)]
pub struct Schedules {
    pub(super) table: Table,
    pub(super) parts: ScheduleParts,
    pub(super) tasks: Tasks,
    pub(super) intents: Intents,
    pub(super) calls: CallTokens,
    pub(super) budgets: Budgets,
    pub(super) clock: Arc<dyn Clock>,
}

impl ScheduleRecord {
    /// One that has just been added, where new Schedules are divided into these parts.
    pub fn of_new(schedule: Schedule, parts: ScheduleParts) -> Self {
        let look = row::look(&schedule, &[], schedule.creation_timestamp);
        let part = parts.of_new(schedule.id);
        Self { schedule, waiting: Vec::new(), last_task: None, look, change: None, part }
    }
}

impl Schedules {
    /// Adds one, idempotently.
    pub async fn create(&self, schedule: &Schedule) -> Result<(), StoreError> {
        match self.table.put("add the schedule", row::of_new(schedule, self.parts), Condition::absent()).await? {
            // Ids are never reused, so an existing row is our own write, whose response was lost.
            Written::Done(_) | Written::Refused(_) => Ok(()),
        }
    }

    /// Adds one under an idempotency key, in one transaction with the key. Returns the id of the Schedule that the key
    /// belongs to: this one, or an earlier one, which may have been deleted since.
    ///
    /// This is not done in two steps, as for Tasks, because a Schedule can be deleted: the step after the intent could
    /// not tell whether the Schedule was never added or is gone.
    pub async fn create_once(
        &self,
        schedule: &Schedule,
        scope: &OnceScope,
        once: &Once,
    ) -> Result<Found<ObjectId>, StoreError> {
        const ACTION: &str = "add the schedule once";
        let parts = vec![
            self.intents.to_begin(ACTION, scope, once, &schedule.id)?,
            self.table.to_put_new(ACTION, row::of_new(schedule, self.parts))?,
        ];
        match self.table.transact(ACTION, parts).await? {
            Transacted::Done => Ok(Found::Same(schedule.id)),
            Transacted::Refused(refusals) => match refusals.into_iter().next().flatten() {
                Some(Refusal { row: Some(row) }) => intents::read(&row, once),
                Some(Refusal { row: None }) | None => Err(StoreError::Corrupt {
                    table: self.table.name().to_string(),
                    key: schedule.id.to_string(),
                    why: "another schedule has this id".to_owned(),
                }),
            },
        }
    }

    pub async fn get(&self, id: ObjectId) -> Result<Option<Schedule>, StoreError> {
        Ok(self.record(id).await?.map(|record| record.schedule))
    }

    /// One with its internal state.
    pub async fn record(&self, id: ObjectId) -> Result<Option<ScheduleRecord>, StoreError> {
        for part in self.parts.of(id) {
            if let Some(row) = self.table.get("read the schedule", &part.partition(), &id.to_string()).await? {
                return row::read(&row).map(Some);
            }
        }
        Ok(None)
    }

    /// Removes one. `false` if it does not exist.
    pub async fn delete(&self, id: ObjectId) -> Result<bool, StoreError> {
        for part in self.parts.of(id) {
            if self.table.remove("delete the schedule", &part.partition(), &id.to_string()).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The Schedules that match the query, in their public form.
    pub async fn list(&self, query: &Query, now: Timestamp) -> Result<Page<Json>, StoreError> {
        let listed = Listed {
            action: "list the schedules",
            table: self.table.clone(),
            layout: Layout::AnyOf(self.parts.all().into_iter().map(SchedulePart::partition).collect()),
            time_field: "creationTimestamp",
            expire: false,
            decode: |row| public(row, &row::read(row)?.schedule),
            data: None,
            ids_only: false,
            budgets: self.budgets.clone(),
            clock: Arc::clone(&self.clock),
        };
        page(&listed, &Plan::new(query, listed.time_field), query, now).await
    }

    /// Writes a changed Schedule in place of the one that was read, whose waiting occurrences stay. `false` if it has changed
    /// or is gone since.
    pub async fn replace(&self, read: &ScheduleRecord, new: &Schedule, now: Timestamp) -> Result<bool, StoreError> {
        let call = self.calls.next();
        let after = ScheduleRecord { schedule: new.clone(), change: Some(call.clone()), ..read.clone() };
        match self.table.put("change the schedule", row::of(&after, now), row::unchanged(read).and(PRESENT)).await? {
            Written::Done(_) => Ok(true),
            Written::Refused(Some(row)) => Ok(row.optional_text(row::CHANGE)? == Some(&call)),
            Written::Refused(None) => Ok(false),
        }
    }
}
