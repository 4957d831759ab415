//! Among due Tasks, higher priority runs first, then the earlier start, then the earlier id.

use std::cmp::Reverse;

use tasklane_model::ObjectId;

use crate::{journal::Asked, row::TaskRow, world::World};

/// How long a dispatcher knows that a Task has left the queue.
const REMEMBERED: i64 = 2000;

/// No dispatcher tries again to claim a Task of which it has just learned that it has left the queue, however much the
/// index lags.
pub fn asked_once(world: &World) {
    let mut again = Vec::new();
    {
        let journal = world.journal();
        for (index, asked) in journal.asked.iter().enumerate() {
            let earlier = journal.asked[..index].iter().rev().take_while(|earlier| asked.at - earlier.at < REMEMBERED);
            // A Task may have left the shared lane for its Function's own, or its place for another one.
            let place = |asked: &Asked| (asked.by, asked.task, asked.lane.clone(), asked.key.clone());
            let is_same = |earlier: &&Asked| place(earlier) == place(asked);
            let mut same = earlier.filter(is_same);
            // It learned nothing from a call that failed, or whose response was lost or late.
            if same.any(|earlier| !journal.troubled(asked.by, earlier.at, asked.at)) {
                again.push(asked.task);
            }
        }
    }
    for task in again {
        world.violated([task], "a dispatcher tried again to claim a task that had left the queue");
    }
}

/// No claim skips a better Task that its dispatcher must have seen, that nothing held back, and whose time to wait was not
/// over. Checked for Tasks of the
/// first Function, which is never limited, disabled or deleted. The claims of one look are sent in order, the best Task
/// first.
pub fn priorities(world: &World) {
    let mut passed_over = Vec::new();
    {
        let journal = world.journal();
        let first = &world.plan.functions[0].name;
        let key = |row: &TaskRow| (Reverse(row.priority), row.start, row.id);
        for claim in &journal.claims {
            let sent = |task: ObjectId| {
                let of_this_look =
                    |asked: &Asked| asked.by == claim.by && asked.task == task && asked.heads == claim.heads;
                journal.asked.iter().position(of_this_look)
            };
            let Some(claimed) = journal.last(claim.task) else { continue };
            // By the claimer's clock, as its claims were.
            let may_start = |row: &TaskRow| claimed.started.is_none_or(|at| !row.has_expired(at));
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
                        && may_start(&version.row)
                        && key(&version.row) < key(claimed)
                });
                let asked_before = || sent(*id).is_some_and(|better| sent(claim.task).is_none_or(|this| better < this));
                if better && !asked_before() {
                    passed_over.push((claim.task, *id));
                }
            }
        }
    }
    for (task, better) in passed_over {
        world.violated([task, better], "a task was claimed before a better one");
    }
}
