//! The idle processes, and the limit on all of them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tasklane_model::CodeSha256;
use tasklane_runtime::lock::Lock;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{process_tree::ProcessTree, sandbox::Sandbox, versions::Version};

/// How long a process is idle before it is frozen. Freezing and thawing it costs more than most calls do, and under
/// load the next call comes sooner.
pub(super) const FREEZE_AFTER: Duration = Duration::from_millis(10);

/// The processes of all Functions.
#[derive(Debug)]
pub(super) struct Pool {
    max: usize,
    patience: Duration,
    state: Arc<Lock<State>>,
    /// Notified when a process becomes idle, and when the pool is dropped.
    pub(super) rested: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// How many slots are taken, by busy and idle processes.
    taken: usize,
    /// The versions of busy processes.
    busy: Vec<Arc<Version>>,
    /// Least recently used first.
    idle: Vec<Idle>,
    /// Runs that wait for a process, in order of arrival.
    waiting: Vec<Waiting>,
    closed: bool,
}

#[derive(Debug)]
struct Idle {
    sandbox: Sandbox,
    slot: Slot,
    since: Instant,
    is_frozen: bool,
}

/// A run that waits for a busy process of its version.
#[derive(Debug)]
struct Waiting {
    version: Arc<Version>,
    hand: oneshot::Sender<(Sandbox, Slot)>,
}

/// The right to have one process, returned when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    state: Arc<Lock<State>>,
}

/// The result of [`Pool::check_out`].
#[derive(Debug)]
pub(super) enum Checkout {
    /// An idle process of the version.
    Warm(Sandbox, Slot),
    /// The right to start one, after this idle process of another version has been ended.
    Cold(Slot, Option<Sandbox>),
    /// All slots are busy.
    Full,
    /// The server is stopping.
    Closed,
}

impl Pool {
    pub(super) fn new(max: usize, patience: Duration) -> Self {
        Self { max: max.max(1), patience, state: Arc::default(), rested: Arc::default() }
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Returns the most recently used idle process of the version, or a free slot, or the slot of the process that has
    /// been idle the longest. Before it takes that one, it waits a moment if a process of the version is busy.
    ///
    /// Without this wait, callers that use more Functions in parallel than there are slots would end each other's
    /// processes before they are used again, and every call would have to start one.
    pub(super) async fn check_out(&self, version: &Arc<Version>) -> Checkout {
        let mut handed = {
            let mut state = self.state.lock();
            match state.check_out(version, self.max, &self.state) {
                Some(checkout) => return checkout,
                None => state.wait_for(version),
            }
        };
        match tokio::time::timeout(self.patience, &mut handed).await {
            Ok(Ok((sandbox, slot))) => Checkout::Warm(sandbox, slot),
            Ok(Err(_)) => Checkout::Closed,
            Err(_) => {
                handed.close();
                match handed.try_recv() {
                    // It came at the last moment.
                    Ok((sandbox, slot)) => Checkout::Warm(sandbox, slot),
                    Err(_) => self.state.lock().check_out_any(self.max, &self.state),
                }
            }
        }
    }

    /// Notes that a process of this version is busy, until [`Pool::rest`] or [`Pool::gone`].
    pub(super) fn busy(&self, version: &Arc<Version>) {
        self.state.lock().busy.push(Arc::clone(version));
    }

    /// Takes back a process that is ready for its next run. It is frozen if no run needs it soon.
    pub(super) fn rest(&self, sandbox: Sandbox, slot: Slot) {
        sandbox.rest();
        let mut state = self.state.lock();
        state.forget_busy(&sandbox.version);
        if state.closed {
            // Dropped without the lock: dropping takes a while, and the slot takes the lock itself.
            drop(state);
            drop((sandbox, slot));
            return;
        }
        let Some((sandbox, slot)) = state.hand_over((sandbox, slot)) else { return };
        state.idle.push(Idle { sandbox, slot, since: Instant::now(), is_frozen: false });
        drop(state);
        self.rested.notify_one();
    }

    /// The processes that have been idle for [`FREEZE_AFTER`] and should now be frozen, each returned once; and whether
    /// there are others that will be due later. Freezing takes a while and is done without the pool's lock. A run that
    /// takes the process meanwhile cancels it.
    pub(super) fn due_for_freezing(&self) -> (Vec<Arc<ProcessTree>>, bool) {
        let (mut due, mut are_more) = (Vec::new(), false);
        let mut state = self.state.lock();
        // A debugger talks to its process at any time.
        let thawed = state.idle.iter_mut().filter(|idle| !idle.is_frozen && !idle.sandbox.version.is_inspected);
        for idle in thawed {
            if idle.since.elapsed() >= FREEZE_AFTER {
                idle.is_frozen = true;
                due.push(idle.sandbox.hold_still());
            } else {
                are_more = true;
            }
        }
        (due, are_more)
    }

    /// The processes that should be frozen.
    pub(super) fn frozen(&self) -> Vec<Arc<ProcessTree>> {
        let state = self.state.lock();
        state.idle.iter().filter(|idle| idle.is_frozen).map(|idle| Arc::clone(idle.sandbox.tree())).collect()
    }

    /// Ends the process of this tree, unless a run has taken it.
    pub(super) async fn end_restless(&self, tree: &Arc<ProcessTree>) {
        let is_it = |idle: &mut Idle| Arc::ptr_eq(idle.sandbox.tree(), tree);
        let ended: Vec<Idle> = self.state.lock().idle.extract_if(.., is_it).collect();
        for idle in &ended {
            let function = &idle.sandbox.version.function;
            tracing::warn!(%function, "a process of {function} could not be frozen between two runs, and was ended");
        }
        end(ended).await;
    }

    pub(super) fn busy_count(&self) -> usize {
        self.state.lock().busy.len()
    }

    /// How many runs wait for a busy process of their version.
    #[cfg(test)]
    pub(super) fn waiting_count(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Notes that a busy process has ended.
    pub(super) fn gone(&self, version: &Arc<Version>) {
        self.state.lock().forget_busy(version);
    }

    /// Hands out no more processes.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.waiting.clear();
    }

    /// Ends the idle processes of the versions for which `versions` is true.
    pub(super) async fn end_idle(&self, versions: impl Fn(&Version) -> bool) {
        let ended: Vec<Idle> = self.state.lock().idle.extract_if(.., |idle| versions(&idle.sandbox.version)).collect();
        end(ended).await;
    }

    /// The packages that running processes use.
    pub(super) fn code_in_use(&self) -> BTreeSet<CodeSha256> {
        let state = self.state.lock();
        state
            .idle
            .iter()
            .map(|idle| idle.sandbox.version.code)
            .chain(state.busy.iter().map(|version| version.code))
            .collect()
    }

    pub(super) async fn end_idle_since(&self, before: Instant) {
        let is_over = |idle: &mut Idle| idle.since < before && !idle.sandbox.version.is_inspected;
        let ended: Vec<Idle> = self.state.lock().idle.extract_if(.., is_over).collect();
        end(ended).await;
    }
}

impl State {
    /// What a run can get immediately, or `None` if it should first wait for a busy process of its version.
    fn check_out(&mut self, version: &Arc<Version>, max: usize, own: &Arc<Lock<Self>>) -> Option<Checkout> {
        if self.closed {
            return Some(Checkout::Closed);
        }
        if let Some(at) = self.idle.iter().rposition(|idle| idle.sandbox.version.is(version)) {
            let Idle { sandbox, slot, .. } = self.idle.remove(at);
            // If it was killed while idle, its slot is used for a new one.
            return Some(match sandbox.has_exited() {
                false => Checkout::Warm(sandbox, slot),
                true => Checkout::Cold(slot, Some(sandbox)),
            });
        }
        let is_another_to_go = self.taken >= max && !self.idle.is_empty();
        if is_another_to_go && self.busy.iter().any(|busy| busy.is(version)) {
            return None;
        }
        Some(self.check_out_any(max, own))
    }

    /// The right to start a process, even if an idle one must end for it.
    fn check_out_any(&mut self, max: usize, own: &Arc<Lock<Self>>) -> Checkout {
        if self.closed {
            return Checkout::Closed;
        }
        if self.taken < max {
            self.taken += 1;
            return Checkout::Cold(Slot { state: Arc::clone(own) }, None);
        }
        if self.idle.is_empty() {
            return Checkout::Full;
        }
        let Idle { sandbox, slot, .. } = self.idle.remove(0);
        Checkout::Cold(slot, Some(sandbox))
    }

    fn wait_for(&mut self, version: &Arc<Version>) -> oneshot::Receiver<(Sandbox, Slot)> {
        // Remove runs that went on without a process.
        self.waiting.retain(|waiting| !waiting.hand.is_closed());
        let (hand, handed) = oneshot::channel();
        self.waiting.push(Waiting { version: Arc::clone(version), hand });
        handed
    }

    /// Gives a process to the first run that waits for its version. Returns it if there is none.
    fn hand_over(&mut self, mut free: (Sandbox, Slot)) -> Option<(Sandbox, Slot)> {
        while let Some(at) = self.waiting.iter().position(|waiting| waiting.version.is(&free.0.version)) {
            match self.waiting.remove(at).hand.send(free) {
                Ok(()) => return None,
                // That run is gone.
                Err(back) => free = back,
            }
        }
        Some(free)
    }

    fn forget_busy(&mut self, version: &Version) {
        if let Some(at) = self.busy.iter().position(|busy| busy.is(version)) {
            self.busy.swap_remove(at);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // The slots of idle processes refer to the state, and the state to them: without this neither would be dropped.
        let idle = std::mem::take(&mut self.state.lock().idle);
        drop(idle);
        self.rested.notify_one();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.state.lock().taken -= 1;
    }
}

async fn end(idle: Vec<Idle>) {
    for Idle { mut sandbox, .. } in idle {
        sandbox.kill().await;
    }
}
