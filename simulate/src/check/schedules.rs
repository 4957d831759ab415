//! One Task for each occurrence, on the schedule's grid and in time.

use std::collections::BTreeMap;

use tasklane_model::Schedule;

use super::{most_skew, records::last_rows};
use crate::{plan::Shape, row::TaskRow, time, world::World};

/// How long a tick may take, and what else may come between an occurrence and its Task.
const PROMPT: i64 = 5000;

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

/// If there are no faults, a Schedule has a Task after each tick in which an occurrence was due. Schedules of the first
/// Function, which never changes: occurrences of a disabled one are skipped.
pub fn in_time(world: &World) {
    if world.plan.faults.any() {
        return;
    }
    let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(0);
    let tick = match world.plan.shape {
        Shape::Machine => 0,
        Shape::Cloud => millis(world.plan.tick_every),
    };
    let schedules = world.journal().schedules.clone();
    let of_first = |schedule: &&Schedule| schedule.function_name.as_str() == world.plan.functions[0].name;
    for schedule in schedules.iter().filter(of_first) {
        // From one Task to the next occurrence, and from there to the next tick, by another clock perhaps.
        let longest = millis(schedule.interval.as_duration()) + tick + PROMPT + 2 * most_skew(world);
        let mut last = time::since_start(schedule.creation_timestamp.max(schedule.start_timestamp).as_millis());
        for at in created(world, schedule) {
            if at - last > longest {
                break;
            }
            last = last.max(at);
        }
        let end = world.journal().schedules_end.unwrap_or(last);
        if end - last > longest {
            world.violated([], format!("schedule {} had no task for {longest} ms from {last} ms on", schedule.id));
        }
    }
}

/// When the Tasks of a Schedule were created, in milliseconds since the start.
fn created(world: &World, schedule: &Schedule) -> Vec<i64> {
    let journal = world.journal();
    let data = schedule.data.as_ref().map(|data| data.as_str());
    let firsts = journal.rows.values().filter_map(|versions| versions.first());
    let mut created: Vec<_> = firsts
        .filter(|version| version.row.retry_for.is_empty() && version.row.data.as_deref() == data)
        .map(|version| version.at)
        .collect();
    created.sort_unstable();
    created
}
