//! Tasks that are changed before they start.

use super::most_skew;
use crate::world::World;

/// No Task is claimed before its start, whatever its start was when a dispatcher looked at the queue. A promotion and a claim
/// may follow two clocks that are wrong in opposite directions.
pub fn none_starts_early(world: &World) {
    let skew = 2 * most_skew(world);
    let early: Vec<_> = {
        let journal = world.journal();
        let claims = journal.claims.iter().filter_map(|claim| journal.last(claim.task));
        claims.filter_map(|row| Some((row.id, row.start - row.started?))).filter(|(_, early)| *early > skew).collect()
    };
    for (id, early) in early {
        world.violated([id], format!("a task was claimed {early} ms before its start"));
    }
}
