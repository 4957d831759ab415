//! Among due Tasks the higher priority runs first, then the earlier start, then the earlier id.

use std::cmp::Reverse;

use crate::world::World;

/// No claim passes over a better Task that its dispatcher must have seen, and that nothing held back: one of the first
/// Function, which is never limited, disabled or deleted.
pub fn priorities(world: &World) {
    let mut passed_over = Vec::new();
    {
        let journal = world.journal();
        let first = &world.plan.functions[0].name;
        let key = |row: &crate::row::TaskRow| (Reverse(row.priority), row.start, row.id);
        for claim in &journal.claims {
            let Some(claimed) = journal.last(claim.task) else { continue };
            for (id, versions) in &journal.rows {
                if *id == claim.task || versions[0].row.function != *first {
                    continue;
                }
                let better = versions.iter().enumerate().any(|(index, version)| {
                    let seen = version.row.lane.as_ref().and_then(|lane| claim.heads.get(lane));
                    let left = versions.get(index + 1).map_or(u64::MAX, |next| next.seq);
                    version.row.is_in_shared_lane()
                        && seen.is_some_and(|seen| version.seq <= *seen)
                        && left > claim.seq
                        && key(&version.row) < key(claimed)
                });
                if better {
                    passed_over.push((claim.task, *id));
                }
            }
        }
    }
    for (task, better) in passed_over {
        world.violated([task, better], "a task was claimed before a better one");
    }
}
