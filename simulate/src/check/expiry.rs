//! Tasks that may not wait for ever.

use tasklane_model::TaskStatus;

use super::{most_skew, records::last_rows};
use crate::{plan::Shape, time, world::World};

/// If there are no faults, a Task that has waited as long as it may fails with the next tick. (That it does not start, and
/// does not fail earlier, is checked with each write.)
pub fn in_time(world: &World) {
    let within = match world.plan.shape {
        Shape::Machine => 1_000,
        Shape::Cloud => i64::try_from(world.plan.tick_every.as_millis()).unwrap_or(i64::MAX) + 5_000,
    };
    for row in last_rows(world) {
        let started = row.started.is_some();
        let Some(not_after) = row.not_after.filter(|_| row.status == TaskStatus::Failed && !started) else { continue };
        // It may have been created after that.
        let late = row.status_changed - not_after.max(row.created);
        if !world.plan.faults.any() && late > within + 2 * most_skew(world) {
            let at = time::since_start(not_after);
            world.violated([row.id], format!("a task that expired at {at} ms failed {late} ms later"));
        }
    }
}
