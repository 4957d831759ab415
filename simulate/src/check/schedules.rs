//! One Task for each occurrence, on the schedule's grid, in time, and as its overlap and catch-up say.

use std::collections::{BTreeMap, BTreeSet};

use tasklane_model::{CatchUp, ObjectId, Overlap, Recurrence, Schedule};

use super::most_skew;
use crate::{
    journal::{Journal, LifeId, Version},
    plan::Shape,
    time,
    world::World,
};

/// How long a tick may take, and what else may come between an occurrence and its Task.
const PROMPT: i64 = 5000;

/// How late an occurrence is that a tick of a cloud takes for missed.
const MISSED: i64 = 180_000;

/// What else may delay a Task that a tick has begun to create: slow calls and freezes.
const SLOW: i64 = 60_000;

/// How long a process may overlook that the Task has ended for which another one waits.
const LOOK: i64 = 11_000;

/// A Task of a schedule, without retries.
struct Made {
    id: ObjectId,
    occurrence: i64,
    /// When it was created, by its creator's clock.
    created: i64,
    /// The write that created it, and when that was.
    seq: u64,
    at: i64,
    by: LifeId,
    /// The write that ended its chain, and when that was, if it has ended.
    ended: Option<(u64, i64)>,
}

/// The Tasks of each schedule, in the order of their creation.
fn made(journal: &Journal) -> BTreeMap<ObjectId, Vec<Made>> {
    let mut made: BTreeMap<ObjectId, Vec<Made>> = BTreeMap::new();
    for versions in journal.rows.values() {
        let Some(Version { seq, at, by, row }) = versions.first() else { continue };
        // The caller of a backfill is the creator of its Tasks; schedules have none here.
        let own = row.retry_for.is_empty() && row.user.is_none();
        let Some((schedule, occurrence)) = row.occurrence.filter(|_| own) else { continue };
        let ended = end_of_chain(journal, row.id).map(|end| (end.seq, end.at));
        let (seq, at, by) = (*seq, *at, *by);
        let one = Made { id: row.id, occurrence, created: row.created, seq, at, by, ended };
        made.entry(schedule).or_default().push(one);
    }
    made.values_mut().for_each(|tasks| tasks.sort_by_key(|task| task.seq));
    made
}

/// The Tasks of each schedule, and the schedules that callers know.
fn known(world: &World) -> (BTreeMap<ObjectId, Vec<Made>>, Vec<Schedule>) {
    let journal = world.journal();
    (made(&journal), journal.schedules.clone())
}

/// The version with which a Task and its retries ended.
fn end_of_chain(journal: &Journal, mut id: ObjectId) -> Option<&Version> {
    loop {
        let versions = journal.rows.get(&id)?;
        match versions.last()?.row.retried_by {
            Some(next) => id = next,
            None => return versions.iter().find(|version| version.row.status.is_final()),
        }
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(0)
}

fn interval(schedule: &Schedule) -> i64 {
    match &schedule.recurrence {
        Recurrence::Every(interval) => millis(interval.as_duration()),
        Recurrence::Cron(..) => 1000,
    }
}

/// Each occurrence became at most one Task, lies a whole number of intervals after the schedule's start, and had come when
/// its Task was created.
pub fn occurrences(world: &World) {
    let (made, schedules) = known(world);
    for (id, tasks) in made {
        let mut seen = BTreeMap::new();
        let schedule = schedules.iter().find(|schedule| schedule.id == id);
        for task in tasks {
            if let Some(other) = seen.insert(task.occurrence, task.id) {
                world.violated([other, task.id], "an occurrence of a schedule became two tasks");
            }
            if task.created < task.occurrence {
                let early = task.occurrence - task.created;
                world.violated([task.id], format!("a task was created {early} ms before its occurrence"));
            }
            let Some(schedule) = schedule else { continue };
            let (interval, off) = (interval(schedule), task.occurrence - schedule.start_timestamp.as_millis());
            if off < 0 || off % interval != 0 {
                world.violated(
                    [task.id],
                    format!("an occurrence is {off} ms after the schedule's start, not a multiple of {interval} ms"),
                );
            }
        }
    }
}

/// No Task of a schedule that skips or queues was created before the end of the one before.
pub fn overlap(world: &World) {
    let (made, schedules) = known(world);
    for schedule in schedules.iter().filter(|schedule| schedule.overlap.unwrap_or_default() != Overlap::Allow) {
        for pair in made.get(&schedule.id).map_or(&[][..], Vec::as_slice).windows(2) {
            if pair[0].ended.is_none_or(|(end, _)| end > pair[1].seq) {
                world.violated([pair[0].id, pair[1].id], "two tasks of a schedule overlapped that may not");
            }
            if pair[0].occurrence >= pair[1].occurrence {
                world.violated([pair[0].id, pair[1].id], "a schedule's tasks are not in the order of its occurrences");
            }
        }
    }
}

/// What was missed while nothing ran was made up for as the schedule says. Waiting occurrences were not missed.
pub fn catch_up(world: &World) {
    let (made, schedules) = known(world);
    let births = world.journal().births.clone();
    for schedule in schedules.iter().filter(|schedule| schedule.overlap != Some(Overlap::Queue)) {
        let tasks = made.get(&schedule.id).map_or(&[][..], Vec::as_slice);
        let missed = |task: &&Made| match world.plan.shape {
            Shape::Machine => {
                let born = births.get(&task.by).copied().unwrap_or(0);
                time::since_start(task.occurrence) < born
            }
            Shape::Cloud => time::since_start(task.occurrence) + MISSED + SLOW + 2 * most_skew(world) < task.at,
        };
        let missed: Vec<_> = tasks.iter().filter(missed).collect();
        match schedule.catch_up.unwrap_or_default() {
            CatchUp::None => {
                if let Some(task) = missed.first() {
                    world.violated([task.id], "an occurrence was made up for that should not have been");
                }
            }
            CatchUp::Latest if world.plan.shape == Shape::Machine => {
                let mut lives = BTreeSet::new();
                for task in missed {
                    if !lives.insert(task.by) {
                        world.violated([task.id], "more than the latest missed occurrence was made up for");
                    }
                }
            }
            CatchUp::Latest | CatchUp::All => {}
        }
    }
}

/// If there are no faults, a Schedule has a Task after each tick in which an occurrence was due, and no occurrence between
/// two Tasks is lost. Schedules of the first Function, which never changes: occurrences of a disabled one are skipped.
pub fn in_time(world: &World) {
    if world.plan.faults.any() {
        return;
    }
    let tick = match world.plan.shape {
        Shape::Machine => 0,
        Shape::Cloud => millis(world.plan.tick_every),
    };
    let (made, schedules) = known(world);
    let paused = world.journal().paused.clone();
    let of_first = |schedule: &&Schedule| {
        schedule.function_name.as_str() == world.plan.functions[0].name && !paused.contains(&schedule.id)
    };
    for schedule in schedules.iter().filter(of_first) {
        let tasks = made.get(&schedule.id).map_or(&[][..], Vec::as_slice);
        let (interval, skew) = (interval(schedule), 2 * most_skew(world));
        let end = world.journal().schedules_end;
        match schedule.overlap.unwrap_or_default() {
            Overlap::Allow => {
                for pair in tasks.windows(2).filter(|pair| pair[1].occurrence != pair[0].occurrence + interval) {
                    world.violated([pair[0].id, pair[1].id], "an occurrence between two of a schedule was lost");
                }
                let mut last = time::since_start(schedule.creation_timestamp.max(schedule.start_timestamp).as_millis());
                // From one Task to the next occurrence, and from there to the next tick, by another clock perhaps.
                let longest = interval + tick + PROMPT + skew;
                for task in tasks {
                    if task.at - last > longest {
                        break;
                    }
                    last = last.max(task.at);
                }
                if end.unwrap_or(last) - last > longest {
                    world.violated(
                        [],
                        format!("schedule {} had no task for {longest} ms from {last} ms on", schedule.id),
                    );
                }
            }
            Overlap::Queue => {
                let longest = LOOK + tick + PROMPT + skew;
                for pair in tasks.windows(2) {
                    let due = time::since_start(pair[0].occurrence + interval);
                    let free = pair[0].ended.map_or(0, |(_, at)| at);
                    if pair[1].at - due.max(free) > longest {
                        world.violated([pair[1].id], "an occurrence waited although the one before had ended");
                    }
                }
            }
            Overlap::Skip => {}
        }
    }
}
