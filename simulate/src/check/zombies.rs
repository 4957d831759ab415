//! A Task fails as a zombie only if its outcome cannot be known, and then in time. A Task fails without a run only if
//! its runner was delayed, and is not left to its lease because one answer to its claim was lost.

use std::{collections::BTreeSet, sync::PoisonError};

use tasklane_model::{TaskStatus, task::ZOMBIE_ERROR_NAME};

use crate::{
    journal::{LifeId, Version},
    plan::Shape,
    time,
    world::World,
};

/// An outcome that is known this long before the lease ends can be written: that leaves a few tries, seconds apart.
const TIME_TO_WRITE: i64 = 12_000;

/// The name of the error of a Task that was started too late.
const STARTED_TOO_LATE: &str = "StartedTooLate";
/// How long a runner that is well may take to start a Task that it has claimed.
const TIME_TO_START: i64 = 10_000;

/// How long a dispatcher asks at least whether its claim has succeeded, if it gets no answer.
const TIME_TO_ASK: i64 = 5_000;
/// How long it asks at most.
const LONGEST_TO_ASK: i64 = 12_000;
/// A process that has died is back after this time.
const TIME_TO_RESTART: i64 = 8_000;

/// Each zombie has a reason, and is found in time.
pub fn explained(world: &World) {
    let runs = world.cloud.lock().unwrap_or_else(PoisonError::into_inner).runs.clone();
    let mut broken = Vec::new();
    {
        let journal = world.journal();
        for (id, versions) in &journal.rows {
            let zombie = versions.iter().find(|version| {
                version.row.status == TaskStatus::Failed
                    && version.row.error.as_ref().is_some_and(|error| error.name == ZOMBIE_ERROR_NAME)
            });
            let (Some(zombie), Some(claimed)) = (zombie, journal.claimed(*id)) else { continue };
            let lease = time::since_start(claimed.row.lease.unwrap_or(0));
            let run = runs.iter().find(|run| run.task == *id);
            let troubled = journal.troubled(claimed.by, claimed.at - 5000, zombie.at);
            // Its outcome was known in time, or is not known yet.
            let known = run.and_then(|run| run.told).is_some_and(|told| told < lease - TIME_TO_WRITE);
            let running = run.is_some_and(|run| run.ended.is_none_or(|ended| ended >= zombie.at));
            if !troubled && (known || running) {
                broken.push((*id, "a task became a zombie although its runner was well".to_owned()));
            }
            if let Some(late) = too_late(world, claimed, zombie, lease) {
                broken.push((*id, format!("a zombie was found {late} ms after its lease had ended")));
            }
        }
    }
    for (id, what) in broken {
        world.violated([id], what);
    }
}

/// No runner that was well and not delayed refuses a Task as started too late.
pub fn started_in_time(world: &World) {
    let mut broken = Vec::new();
    {
        let journal = world.journal();
        for (id, versions) in &journal.rows {
            let refused = versions.iter().find(|version| {
                let error = version.row.error.as_ref().filter(|_| version.row.status.is_final());
                error.is_some_and(|error| error.name == STARTED_TOO_LATE)
            });
            let (Some(refused), Some(claimed)) = (refused, journal.claimed(*id)) else { continue };
            let held_up = journal.troubled(claimed.by, claimed.at - 5000, refused.at);
            if !held_up && refused.at - claimed.at < TIME_TO_START {
                broken.push(*id);
            }
        }
    }
    for id in broken {
        world.violated([id], "a task was not started although its runner was well");
    }
}

/// A dispatcher that gets no answer to a claim asks again, for a while: nobody else runs what it may have claimed.
pub fn not_left_claimed(world: &World) {
    let ran: BTreeSet<_> =
        world.cloud.lock().unwrap_or_else(PoisonError::into_inner).runs.iter().map(|run| run.task).collect();
    let mut broken = Vec::new();
    {
        let journal = world.journal();
        for (id, versions) in &journal.rows {
            let is_zombie = versions
                .last()
                .is_some_and(|version| version.row.error.as_ref().is_some_and(|error| error.name == ZOMBIE_ERROR_NAME));
            if !is_zombie || ran.contains(id) || journal.lost_invocations.contains(id) || journal.is_direct(*id) {
                continue;
            }
            let Some(claimed) = journal.claimed(*id) else { continue };
            let (by, from, to) = (claimed.by, claimed.at - TIME_TO_ASK, claimed.at + LONGEST_TO_ASK);
            let next = LifeId { number: by.number + 1, ..by };
            let died = journal.births.get(&next).is_some_and(|born| *born <= to + TIME_TO_RESTART);
            let asked = journal.asked.iter().filter(|asked| asked.by == by && asked.task == *id);
            let asked_until = asked.map(|asked| asked.at).max().unwrap_or(0);
            if !died && !journal.stood_still(by, from, to) && asked_until < claimed.at + TIME_TO_ASK {
                broken.push(*id);
            }
        }
    }
    for id in broken {
        world.violated([id], "a dispatcher did not ask again whether its claim had succeeded");
    }
}

/// While nothing goes wrong, the first tick after the lease finds it.
fn too_late(world: &World, claimed: &Version, zombie: &Version, lease: i64) -> Option<i64> {
    let calm = world.calm_since()?;
    let tick = match world.plan.shape {
        Shape::Machine => 5000,
        Shape::Cloud => i64::try_from(world.plan.tick_every.as_millis()).unwrap_or(0),
    };
    let skew = world.plan.skews.iter().map(|skew| skew.abs()).max().unwrap_or(0);
    // A process that was frozen when the faults ended stays frozen a while longer.
    let frozen = i64::try_from(world.plan.faults.longest_freeze).unwrap_or(0);
    let from = lease.max(calm + frozen + 10_000).max(claimed.at);
    let late = zombie.at - from;
    // Two clocks may be wrong in opposite directions. The last process that dies is back after 8 s.
    (late > tick + 2 * skew + 10_000).then_some(late)
}
