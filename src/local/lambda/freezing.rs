//! Holding the processes of a tree still between two runs, as Lambda does, and letting them go on.
//!
//! By their control group, where the machine lets the server make one. Else by signals. A Function can outrun these, by
//! starting processes faster than they are found, and undo them, by a timer whose signal lets it go on. Both show, and
//! then it is to be ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    process_tree::{MAX_SCANS, ProcessTree},
    procfs::{Stat, catches},
};

/// How much processor time a process may take between two calls of [`ProcessTree::is_still`], in clock ticks: one that
/// was spared may do a little, and the last tick of one that was stopped may be counted late.
const TICKS: u64 = 2;

/// Whether a tree is to hold still, and what was done for it.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    is_wanted: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Whether the control group was.
    is_group: bool,
    /// The processes that were stopped.
    stopped: BTreeSet<i32>,
    /// Every process, as it was last seen.
    known: BTreeMap<i32, Stat>,
}

impl Stillness {
    /// From now on, until [`ProcessTree::thaw`].
    pub(super) fn want(&self) {
        self.is_wanted.store(true, Ordering::SeqCst);
    }

    fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::SeqCst)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProcessTree {
    /// Stops every process, unless the tree is not to hold still any more. Whether they hold still.
    ///
    /// A child is spared whose parent would be told, as it is when a child stops: the parent takes it for a child that
    /// ended, and waits for that. [`ProcessTree::is_still`] sees what a spared one does.
    pub(super) fn freeze(&self) -> bool {
        let mut held = self.stillness.held();
        if let Some(group) = self.group.as_ref().filter(|_| self.stillness.is_wanted()) {
            held.is_group = group.freeze(true).is_ok();
            if held.is_group {
                return true;
            }
        }
        for _ in 0..MAX_SCANS {
            if !self.stillness.is_wanted() {
                return true;
            }
            let pids = self.observe();
            let fresh: Vec<i32> = pids.iter().copied().filter(|pid| !held.known.contains_key(pid)).collect();
            if fresh.is_empty() {
                return true;
            }
            for pid in fresh {
                let Some(stat) = Stat::of(pid) else { continue };
                let is_spared = pids.binary_search(&stat.parent).is_ok() && catches(stat.parent, Signal::SIGCHLD);
                if !is_spared {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
                    held.stopped.insert(pid);
                }
                held.known.insert(pid, stat);
            }
        }
        false
    }

    /// Whether the tree has held still since [`ProcessTree::freeze`], or need not any more.
    pub(super) fn is_still(&self) -> bool {
        let mut held = self.stillness.held();
        if held.is_group || !self.stillness.is_wanted() {
            return true;
        }
        self.observe().into_iter().all(|pid| match (Stat::of(pid), held.known.get_mut(&pid)) {
            (Some(now), Some(before)) => {
                let is_still = now.started == before.started && now.ticks.saturating_sub(before.ticks) <= TICKS;
                *before = now;
                is_still
            }
            (Some(_), None) => false,
            (None, _) => true,
        })
    }

    /// Lets every process go on that was stopped. Whether that is done: not where they are being stopped just now; then
    /// [`ProcessTree::thaw_after_all`] waits for the end of that.
    pub(super) fn thaw(&self) -> bool {
        self.stillness.is_wanted.store(false, Ordering::SeqCst);
        match self.stillness.held.try_lock() {
            Ok(held) => self.let_go(held),
            Err(TryLockError::Poisoned(poisoned)) => self.let_go(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => return false,
        }
        true
    }

    /// The same, whatever it takes.
    pub(super) fn thaw_after_all(&self) {
        self.let_go(self.stillness.held());
    }

    fn let_go(&self, mut held: MutexGuard<'_, Held>) {
        let Held { is_group, stopped, .. } = std::mem::take(&mut *held);
        if let Some(group) = self.group.as_ref().filter(|_| is_group) {
            // It fails when the group is gone, and its processes with it.
            let _ = group.freeze(false);
        }
        for pid in stopped {
            let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
        }
    }
}
