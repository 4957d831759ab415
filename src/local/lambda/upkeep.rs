//! Background work on idle processes: they are frozen, watched, and ended after a while.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    pool::{FREEZE_AFTER, Pool},
    process_tree::ProcessTree,
};

/// How often frozen processes are checked.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Starts all of it; it runs until the pool is gone. Must be called within a runtime.
pub(super) fn start(pool: &Arc<Pool>, idle_after: Duration) {
    freeze_idle(pool);
    watch_frozen(Arc::downgrade(pool));
    reap_idle(Arc::downgrade(pool), idle_after);
}

/// Freezes processes that stay idle, until the pool is gone. One task does it for all of them: a task and a timer per
/// call would cost more than everything else that a pool does for a call.
fn freeze_idle(pool: &Arc<Pool>) {
    let (pool, rested) = (Arc::downgrade(pool), Arc::clone(&pool.rested));
    tokio::spawn(async move {
        loop {
            rested.notified().await;
            loop {
                tokio::time::sleep(FREEZE_AFTER).await;
                let Some(pool) = pool.upgrade() else { return };
                let (due, are_more) = pool.due_for_freezing();
                for tree in due {
                    tokio::spawn(end_unless(Arc::downgrade(&pool), tree, ProcessTree::freeze));
                }
                if !are_more {
                    break;
                }
            }
        }
    });
}

/// Ends frozen processes that do something, until the pool is gone.
fn watch_frozen(pool: Weak<Pool>) {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK_AFTER).await;
            let Some(frozen) = pool.upgrade().map(|pool| pool.frozen()) else { return };
            // One at a time: this is never urgent.
            for tree in frozen {
                end_unless(Weak::clone(&pool), tree, ProcessTree::is_still).await;
            }
        }
    });
}

/// Ends the process of a tree if `is_fine` returns false. The check takes a while and blocks.
async fn end_unless(pool: Weak<Pool>, tree: Arc<ProcessTree>, is_fine: fn(&ProcessTree) -> bool) {
    let asked = Arc::clone(&tree);
    let is_fine = tokio::task::spawn_blocking(move || is_fine(&asked)).await;
    if let (Ok(false), Some(pool)) = (is_fine, pool.upgrade()) {
        pool.end_restless(&tree).await;
    }
}

/// Ends processes that are idle for too long, until the pool is gone.
fn reap_idle(pool: Weak<Pool>, idle_after: Duration) {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep((idle_after / 4).clamp(Duration::from_millis(20), Duration::from_secs(10))).await;
            let Some(pool) = pool.upgrade() else { return };
            if let Some(before) = Instant::now().checked_sub(idle_after) {
                pool.end_idle_since(before).await;
            }
        }
    });
}
