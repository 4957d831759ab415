//! One Task for each occurrence, on the schedule's grid.

use std::collections::BTreeMap;

use super::records::last_rows;
use crate::{row::TaskRow, world::World};

/// Each occurrence became at most one Task, and lies a whole number of intervals after the schedule's start.
pub fn occurrences(world: &World) {
    let mut by_schedule: BTreeMap<String, Vec<TaskRow>> = BTreeMap::new();
    for row in last_rows(world).into_iter().filter(|row| row.retry_for.is_empty()) {
        if let Some(data) = row.data.clone().filter(|data| data.contains("schedule")) {
            by_schedule.entry(data).or_default().push(row);
        }
    }
    let schedules = world.journal().schedules.clone();
    for (data, mut rows) in by_schedule {
        rows.sort_by_key(|row| row.start);
        for pair in rows.windows(2) {
            if pair[0].start == pair[1].start {
                world.violated([pair[0].id, pair[1].id], "an occurrence of a schedule became two tasks");
            }
        }
        let known =
            schedules.iter().find(|schedule| schedule.data.as_ref().is_some_and(|known| known.as_str() == data));
        let Some(schedule) = known else { continue };
        let interval = i64::try_from(schedule.interval.as_duration().as_millis()).unwrap_or(1);
        for row in rows {
            let off = row.start - schedule.start_timestamp.as_millis();
            if off < 0 || off % interval != 0 {
                world.violated(
                    [row.id],
                    format!("an occurrence is {off} ms after the schedule's start, not a multiple of {interval} ms"),
                );
            }
        }
    }
}
