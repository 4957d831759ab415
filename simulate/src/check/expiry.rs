//! Tasks that may not wait for ever.

use tasklane_model::TaskStatus;

use super::{most_skew, records::last_rows};
use crate::{plan::Shape, time, world::World};

/// If there are no faults, a Task that has waited as long as it may fails with the next tick. (That it does not start, and
/// does not fail earlier, is checked with each write.)
pub fn in_time(world: &World) {
    let within = match world.plan.shape {
        // The tick before must end first: up to a second, one more item, and a look ahead. Then come four calls. Each call
        // travels twice.
        Shape::Machine => 1_000 + 40 * i64::try_from(world.plan.faults.store_latency).unwrap_or(i64::MAX),
        Shape::Cloud => i64::try_from(world.plan.tick_every.as_millis()).unwrap_or(i64::MAX) + 5_000,
    };
    for row in last_rows(world) {
        let started = row.started.is_some();
        let Some(not_after) = row.not_after.filter(|_| row.status == TaskStatus::Failed && !started) else { continue };
        // It may have been created, or its start changed, after that.
        let changed =
            world.journal().last_new(row.id).map_or(row.created, |version| time::timestamp(version.at).as_millis());
        let late = row.status_changed - not_after.max(changed);
        if !world.plan.faults.any() && late > within + 2 * most_skew(world) {
            let at = time::since_start(not_after);
            world.violated([row.id], format!("a task that expired at {at} ms failed {late} ms later"));
        }
    }
}
