//! The table of Schedules.

use std::sync::Arc;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use tasklane_model::{Json, Lane, ObjectId, Once, OnceScope, Page, Schedule, Task, Timestamp};
use tasklane_ports::Clock;
use tasklane_rql::Query;

use super::{
    Found, Intents, StoreError, Tasks,
    calls::CallTokens,
    change::{Change, Condition},
    error::failed,
    intents,
    lanes::{time_key, time_of, timed},
    list::{Budgets, Layout, Listed, Plan, page, public},
    row::{NewRow, Row, json, text, time},
    table::{Partition, Table, Written, small},
    tasks::row::of_new_task,
    transaction::{Refusal, Transacted},
};

/// The partition of all Schedules.
const ALL: &str = "schedule";
/// The first format with options of part II of the contract.
const OPTIONS_FORMAT: u32 = 2;
/// The partition of the index, in which they are ordered by their next occurrence.
const BY_NEXT: &str = "next";

/// A batch of Schedules whose next occurrence is due.
#[derive(Debug, Default)]
pub struct DueSchedules {
    /// The Schedules, earliest first.
    pub schedules: Vec<Schedule>,
    /// Why others of the batch could not be read. They stay due.
    pub unreadable: Vec<StoreError>,
    /// Where the next batch begins; `None` after the last one.
    pub next: Option<DuePosition>,
}

/// A position in the order in which Schedules become due.
///
/// A reader of all that is due continues here and does not read from the front again, because the front may consist of
/// Schedules that cannot be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePosition(String);

impl DuePosition {
    /// The position of this Schedule.
    pub fn of(schedule: &Schedule) -> Self {
        Self(timed(schedule.next_timestamp, schedule.id))
    }

    /// Behind the row with this key. A longer key is greater, and all keys of rows are equally long.
    fn behind(key: &str) -> Self {
        Self(format!("{key}/"))
    }
}

#[derive(Clone)]
pub struct Schedules {
    pub(super) table: Table,
    pub(super) tasks: Tasks,
    pub(super) intents: Intents,
    pub(super) calls: CallTokens,
    pub(super) budgets: Budgets,
    pub(super) clock: Arc<dyn Clock>,
}

impl Schedules {
    /// Adds one, idempotently.
    pub async fn create(&self, schedule: &Schedule) -> Result<(), StoreError> {
        match self.table.put("add the schedule", new_row(schedule), Condition::absent()).await? {
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
            self.table.to_put_new(ACTION, new_row(schedule))?,
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
        let row = self.table.get("read the schedule", ALL, &id.to_string()).await?;
        row.as_ref().map(read).transpose()
    }

    /// Removes one. `false` if it does not exist.
    pub async fn delete(&self, id: ObjectId) -> Result<bool, StoreError> {
        self.table.remove("delete the schedule", ALL, &id.to_string()).await
    }

    /// The Schedules that match the query, in their public form.
    pub async fn list(&self, query: &Query, now: Timestamp) -> Result<Page<Json>, StoreError> {
        let listed = Listed {
            action: "list the schedules",
            table: self.table.clone(),
            layout: Layout::One(ALL),
            time_field: "creationTimestamp",
            expire: false,
            decode: |row| public(row, &read(row)?),
            data: None,
            budgets: self.budgets.clone(),
            clock: Arc::clone(&self.clock),
        };
        page(&listed, &Plan::new(query, listed.time_field), query, now).await
    }

    /// At most `limit` Schedules whose next occurrence is due, earliest first, from a position on or from the earliest.
    ///
    /// # Errors
    /// If the index or the table cannot be read at all. A Schedule that cannot be read does not hide the others.
    pub async fn due(
        &self,
        now: Timestamp,
        from: Option<&DuePosition>,
        limit: usize,
    ) -> Result<DueSchedules, StoreError> {
        let found = self.due_rows(now, from, limit).await?;
        let mut due = DueSchedules::default();
        if found.len() == limit
            && let Some(last) = found.last()
        {
            due.next = Some(DuePosition::behind(last.text("laneKey")?));
        }
        let keys = found.iter().map(|row| Ok((ALL.to_owned(), row.text("sk")?.to_owned())));
        let keys = keys.collect::<Result<Vec<_>, StoreError>>()?;
        for row in self.table.get_each("read the schedules", keys).await? {
            match row.and_then(|row| read(&row)) {
                // The index lags behind the rows, so check the rows.
                Ok(schedule) if schedule.next_timestamp <= now => due.schedules.push(schedule),
                Ok(_) => {}
                Err(error) => due.unreadable.push(error),
            }
        }
        due.schedules.sort_by_key(|schedule| (schedule.next_timestamp, schedule.id));
        Ok(due)
    }

    /// The next occurrence of all Schedules.
    pub async fn earliest(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.first_rows(self.by_next("#partition = :partition"), 1).await?;
        let first = rows
            .first()
            .map(|row| time_of(row.text("laneKey")?).ok_or_else(|| row.corrupt("its key in the index is not a time")));
        first.transpose()
    }

    /// Adds the Task of an occurrence and moves the Schedule on to `next`, in one transaction. `false` if another
    /// process did, or the Schedule is gone.
    pub async fn materialise(
        &self,
        schedule: &Schedule,
        next: Timestamp,
        task: &Task,
        queue: Lane,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const ACTION: &str = "create the task of the schedule";
        self.tasks.own_lanes.register(queue, &task.function_name).await?;
        let place = self.tasks.days.partition_for(task.id).await?;
        let task_id = task.id.to_string();
        let data = self.tasks.put_companions(&place, task).await?;
        let change = moved(schedule, next, now).set("lastTask", text(&task_id));
        let parts = vec![
            self.table.to_update(ACTION, ALL, &schedule.id.to_string(), change)?,
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

    /// Moves the Schedule on to `next` without a Task. `false` if another process moved it, or it is gone.
    pub async fn skip_to(&self, schedule: &Schedule, next: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let call = self.calls.next();
        let change = moved(schedule, next, now).set("skippedBy", text(&call));
        match self.table.update("move the schedule on", ALL, &schedule.id.to_string(), change).await? {
            Written::Done(_) => Ok(true),
            Written::Refused(Some(row)) => Ok(row.optional_text("skippedBy")? == Some(&call)),
            Written::Refused(None) => Ok(false),
        }
    }

    /// The index's rows from a position on and up to a time.
    async fn due_rows(&self, now: Timestamp, from: Option<&DuePosition>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let below = format!("{}/", time_key(now));
        let query = match from {
            None => self.by_next("#partition = :partition AND laneKey < :below"),
            // The clock was set back. DynamoDB refuses a range whose ends are in the wrong order.
            Some(DuePosition(from)) if *from >= below => return Ok(Vec::new()),
            Some(DuePosition(from)) => self
                .by_next("#partition = :partition AND laneKey BETWEEN :from AND :below")
                .expression_attribute_values(":from", text(from)),
        };
        self.first_rows(query.expression_attribute_values(":below", text(below)), limit).await
    }

    fn by_next(&self, condition: &str) -> QueryFluentBuilder {
        let partition = Partition { index: Some("lane"), key: "lane", value: BY_NEXT };
        self.table.query(&partition).key_condition_expression(condition)
    }

    async fn first_rows(&self, query: QueryFluentBuilder, limit: usize) -> Result<Vec<Row>, StoreError> {
        // Rows of the index are small: as many as a ticker requests fit in one response of 1 MB.
        let page = small(query.limit(i32::try_from(limit.max(1)).unwrap_or(i32::MAX)).send()).await;
        let items = page.map_err(|error| failed("find the due schedules", &error))?.items.unwrap_or_default();
        Ok(items.into_iter().map(|item| Row::projected(self.table.name(), item)).collect())
    }
}

fn new_row(schedule: &Schedule) -> NewRow {
    let mut row = NewRow::new(ALL, schedule.id);
    if schedule.on_complete.is_some() {
        // An older process would create Tasks that nothing follows.
        row = row.in_format(OPTIONS_FORMAT);
    }
    row.set("record", json(schedule));
    row.set("next", time(schedule.next_timestamp));
    row.set("updated", time(schedule.update_timestamp));
    row.set("lane", text(BY_NEXT));
    row.set("laneKey", text(timed(schedule.next_timestamp, schedule.id)));
    row
}

/// Moves the Schedule on to `next`, on condition that its next occurrence has not changed.
fn moved(schedule: &Schedule, next: Timestamp, now: Timestamp) -> Change {
    Change::new()
        .set("next", time(next))
        .set("updated", time(now))
        .set("laneKey", text(timed(next, schedule.id)))
        .when(Condition::new("#next = :read").with("read", time(schedule.next_timestamp)))
}

pub(super) fn read(row: &Row) -> Result<Schedule, StoreError> {
    let mut schedule: Schedule = row.json("record")?;
    schedule.next_timestamp = row.time("next")?;
    schedule.update_timestamp = row.time("updated")?;
    Ok(schedule)
}
