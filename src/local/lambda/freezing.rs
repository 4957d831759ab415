//! Stops the processes of a tree between two runs, as Lambda does, and lets them go on.
//!
//! It uses their control group if the machine lets the server create one, otherwise signals. A Function can evade
//! signals by starting processes faster than they are found, or with a timer that sends SIGCONT. Both are noticed, and
//! the Function's process is ended.

use std::sync::MutexGuard;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    process_tree::{MAX_SCANS, ProcessTree},
    stillness::Held,
};

/// How much processor time a process may take between two calls of [`ProcessTree::is_still`], in clock ticks: a spared
/// process may do a little, and the last tick of a stopped one may be counted late.
const TICKS: u64 = 2;

impl ProcessTree {
    /// Stops all processes, unless the tree should no longer be stopped. Returns whether they are stopped.
    ///
    /// A child is spared if its parent has a handler for SIGCHLD: the parent might mistake a stopped child for one that
    /// has ended, and wait for it. [`ProcessTree::is_still`] notices if a spared child does anything.
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
                let Some(stat) = self.platform.stat(pid) else { continue };
                let is_spared =
                    pids.binary_search(&stat.parent).is_ok() && self.platform.catches(stat.parent, Signal::SIGCHLD);
                if !is_spared {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
                    held.stopped.insert(pid);
                }
                held.known.insert(pid, stat);
            }
        }
        false
    }

    /// Whether the tree has done nothing since the last call, or should no longer be stopped.
    pub(super) fn is_still(&self) -> bool {
        let mut held = self.stillness.held();
        if held.is_group || !self.stillness.is_wanted() {
            return true;
        }
        self.observe().into_iter().all(|pid| match (self.platform.stat(pid), held.known.get_mut(&pid)) {
            (Some(now), Some(before)) => {
                let is_still = now.started == before.started && now.ticks.saturating_sub(before.ticks) <= TICKS;
                *before = now;
                is_still
            }
            (Some(_), None) => false,
            (None, _) => true,
        })
    }

    /// Lets all stopped processes go on. Returns false if they are being stopped at the moment: then call
    /// [`ProcessTree::thaw_after_all`], which waits for that.
    pub(super) fn thaw(&self) -> bool {
        self.stillness.no_longer_want();
        let Some(held) = self.stillness.try_held() else { return false };
        self.let_go(held);
        true
    }

    /// Like [`ProcessTree::thaw`], but waits if it must.
    pub(super) fn thaw_after_all(&self) {
        self.let_go(self.stillness.held());
    }

    fn let_go(&self, mut held: MutexGuard<'_, Held>) {
        let Held { is_group, stopped, .. } = std::mem::take(&mut *held);
        if let Some(group) = self.group.as_ref().filter(|_| is_group) {
            // Fails if the group is gone, and its processes with it.
            let _ = group.freeze(false);
        }
        for pid in stopped {
            let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
        }
    }
}
