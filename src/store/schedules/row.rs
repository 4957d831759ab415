//! Converts Schedules to rows and back.

use std::time::Duration;

use tasklane_model::{Schedule, Timestamp};

use super::{ScheduleParts, ScheduleRecord, parts::SchedulePart};
use crate::{
    StoreError,
    change::Condition,
    lanes::{time_of, timed},
    row::{FORMAT, NewRow, Row, json, number, text, time},
};

/// The first format with options of part II of the contract.
const OPTIONS_FORMAT: u32 = 2;

/// Marks the last change by a caller.
pub(super) const CHANGE: &str = "change";

/// The longest time between two looks at a Schedule with waiting occurrences. The process that ends the Task that they wait
/// for looks at once; this covers its death in between.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The row of a Schedule that is added.
pub(super) fn of_new(schedule: &Schedule, parts: ScheduleParts) -> NewRow {
    of(&ScheduleRecord::of_new(schedule.clone(), parts), schedule.creation_timestamp)
}

/// The row of a Schedule at `now`.
pub(super) fn of(record: &ScheduleRecord, now: Timestamp) -> NewRow {
    let schedule = &record.schedule;
    let mut row = NewRow::new(record.part.partition(), schedule.id);
    if has_options(schedule) || record.change.is_some() {
        // An older process would ignore them.
        row = row.in_format(OPTIONS_FORMAT);
    }
    row.set("record", json(schedule));
    row.set_some("next", schedule.next_timestamp.map(time));
    row.set("updated", time(schedule.update_timestamp));
    row.set_some("waiting", waiting(&record.waiting));
    row.set_some("lastTask", record.last_task.map(|task| text(task.to_string())));
    row.set_some(CHANGE, record.change.as_ref().map(text));
    if let Some(look) = look(schedule, &record.waiting, now) {
        row.set("lane", text(record.part.by_next()));
        row.set("laneKey", text(timed(look, schedule.id)));
    }
    row
}

/// When the engine has to look at a Schedule that it has just looked at.
pub(super) fn look(schedule: &Schedule, waiting: &[Timestamp], now: Timestamp) -> Option<Timestamp> {
    let again = (!waiting.is_empty()).then(|| now.saturating_add(LOOK_AGAIN));
    schedule.next_timestamp.into_iter().chain(again).min().filter(|_| schedule.enabled)
}

fn has_options(schedule: &Schedule) -> bool {
    let Schedule { name, recurrence, end_timestamp, enabled, overlap, catch_up, on_complete, managed_by, .. } =
        schedule;
    name.is_some()
        || !matches!(recurrence, tasklane_model::Recurrence::Every(_))
        || end_timestamp.is_some()
        || !enabled
        || overlap.is_some()
        || catch_up.is_some()
        || on_complete.is_some()
        || managed_by.is_some()
}

/// The waiting occurrences as they are written, in milliseconds; absent if there are none.
pub(super) fn waiting(waiting: &[Timestamp]) -> Option<aws_sdk_dynamodb::types::AttributeValue> {
    let millis: Vec<_> = waiting.iter().map(|at| at.as_millis()).collect();
    (!millis.is_empty()).then(|| json(&millis))
}

/// Neither a caller nor an occurrence has changed the row since it was read.
pub(super) fn unchanged(read: &ScheduleRecord) -> Condition {
    let attributes = [
        ("next", "read", read.schedule.next_timestamp.map(time)),
        ("waiting", "waited", waiting(&read.waiting)),
        (CHANGE, "changed", read.change.as_ref().map(text)),
    ];
    let mut condition = Condition::default().with("format", number(FORMAT));
    for (attribute, name, value) in attributes {
        condition = match value {
            Some(value) => condition.and(&format!("#{attribute} = :{name}")).with(name, value),
            None => condition.and(&format!("attribute_not_exists(#{attribute})")),
        };
    }
    condition
}

pub(crate) fn read(row: &Row) -> Result<ScheduleRecord, StoreError> {
    let mut schedule: Schedule = row.json("record")?;
    schedule.next_timestamp = row.optional_time("next")?;
    schedule.update_timestamp = row.time("updated")?;
    let waiting: Vec<i64> = row.optional_json("waiting")?.unwrap_or_default();
    let waiting = waiting.into_iter().map(|millis| Timestamp::from_millis(millis).map_err(|error| row.corrupt(error)));
    let part = row.text("pk")?;
    let part = SchedulePart::of_partition(part).ok_or_else(|| row.corrupt("its partition is not one of schedules"))?;
    let look = row.optional_text("laneKey")?;
    let look = look.map(|key| time_of(key).ok_or_else(|| row.corrupt("its key in the index is not a time")));
    Ok(ScheduleRecord {
        schedule,
        waiting: waiting.collect::<Result<_, _>>()?,
        last_task: row.optional_text("lastTask")?.map(|_| row.parse("lastTask")).transpose()?,
        look: look.transpose()?,
        change: row.optional_text(CHANGE)?.map(str::to_owned),
        part,
    })
}
