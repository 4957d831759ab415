//! The processes that wait for work, and how many there may be.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tasklane_model::CodeSha256;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{process_tree::ProcessTree, sandbox::Sandbox, versions::Version};

/// How long a process rests before it is frozen. Stopping it, and letting it go on, costs more than most calls, and under
/// load the next call comes sooner.
pub(super) const FREEZE_AFTER: Duration = Duration::from_millis(10);

/// The processes of all Functions.
#[derive(Debug)]
pub(super) struct Pool {
    max: usize,
    patience: Duration,
    state: Arc<Mutex<State>>,
    /// Notified when a process comes to rest, and when the pool is dropped.
    pub(super) rested: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// How many slots are taken, by busy processes and idle ones.
    taken: usize,
    /// The versions of busy processes.
    busy: Vec<Arc<Version>>,
    /// The least recently used first.
    idle: Vec<Idle>,
    /// Runs that wait for a process, the first come first.
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

/// The right to have one process. Given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    state: Arc<Mutex<State>>,
}

/// What a run gets.
#[derive(Debug)]
pub(super) enum Checkout {
    /// A process of the version.
    Warm(Sandbox, Slot),
    /// The right to start one, once this idle one of another version is gone.
    Cold(Slot, Option<Sandbox>),
    /// Nothing: every slot is busy.
    Full,
    /// Nothing: the server stops.
    Closed,
}

impl Pool {
    /// With the configuration's `max_processes` and `patience`.
    pub(super) fn new(max: usize, patience: Duration) -> Self {
        Self { max: max.max(1), patience, state: Arc::default(), rested: Arc::default() }
    }

    /// The most processes at once.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// An idle process of the version, the one used last; else a slot; else the slot of the process idle longest, unless a
    /// busy one of the version is done soon enough.
    ///
    /// Without that, callers that go through more Functions than there are places, side by side, would end each other's
    /// processes before they are used again: each call would be a start, for good.
    pub(super) async fn check_out(&self, version: &Arc<Version>) -> Checkout {
        let mut handed = {
            let mut state = lock(&self.state);
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
                    // It came just now.
                    Ok((sandbox, slot)) => Checkout::Warm(sandbox, slot),
                    Err(_) => lock(&self.state).check_out_any(self.max, &self.state),
                }
            }
        }
    }

    /// Notes that a process of this version is busy, until [`Pool::rest`] or [`Pool::gone`].
    pub(super) fn busy(&self, version: &Arc<Version>) {
        lock(&self.state).busy.push(Arc::clone(version));
    }

    /// Takes a process back that is ready for its next run. It is frozen when none comes at once.
    pub(super) fn rest(&self, sandbox: Sandbox, slot: Slot) {
        sandbox.rest();
        let mut state = lock(&self.state);
        state.forget_busy(&sandbox.version);
        if state.closed {
            // Dropped outside of the lock: that takes a while, and the slot takes the lock.
            drop(state);
            drop((sandbox, slot));
            return;
        }
        let Some((sandbox, slot)) = state.hand_over((sandbox, slot)) else { return };
        state.idle.push(Idle { sandbox, slot, since: Instant::now(), is_frozen: false });
        drop(state);
        self.rested.notify_one();
    }

    /// The processes that have rested for [`FREEZE_AFTER`] and are to be frozen, each told once; and whether there are
    /// others that will have. Freezing takes a while, and is done without the pool's lock: a run that comes meanwhile
    /// calls it off.
    pub(super) fn due_for_freezing(&self) -> (Vec<Arc<ProcessTree>>, bool) {
        let (mut due, mut are_more) = (Vec::new(), false);
        for idle in lock(&self.state).idle.iter_mut().filter(|idle| !idle.is_frozen) {
            if idle.since.elapsed() >= FREEZE_AFTER {
                idle.is_frozen = true;
                due.push(idle.sandbox.hold_still());
            } else {
                are_more = true;
            }
        }
        (due, are_more)
    }

    /// The processes that are to hold still.
    pub(super) fn frozen(&self) -> Vec<Arc<ProcessTree>> {
        let state = lock(&self.state);
        state.idle.iter().filter(|idle| idle.is_frozen).map(|idle| Arc::clone(idle.sandbox.tree())).collect()
    }

    /// Ends the process of this tree, unless a run has taken it.
    pub(super) async fn end_restless(&self, tree: &Arc<ProcessTree>) {
        let is_it = |idle: &mut Idle| Arc::ptr_eq(idle.sandbox.tree(), tree);
        let ended: Vec<Idle> = lock(&self.state).idle.extract_if(.., is_it).collect();
        for idle in &ended {
            let function = &idle.sandbox.version.function;
            tracing::warn!(%function, "a process of {function} did not hold still between two runs, and was ended");
        }
        end(ended).await;
    }

    /// How many processes are busy.
    pub(super) fn busy_count(&self) -> usize {
        lock(&self.state).busy.len()
    }

    /// How many runs wait for a busy process of their version.
    #[cfg(test)]
    pub(super) fn waiting_count(&self) -> usize {
        lock(&self.state).waiting.len()
    }

    /// Notes that a busy process is gone.
    pub(super) fn gone(&self, version: &Arc<Version>) {
        lock(&self.state).forget_busy(version);
    }

    /// Gives out no more processes.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.waiting.clear();
    }

    /// Ends the idle processes of these versions.
    pub(super) async fn end_idle(&self, versions: impl Fn(&Version) -> bool) {
        let ended: Vec<Idle> = lock(&self.state).idle.extract_if(.., |idle| versions(&idle.sandbox.version)).collect();
        end(ended).await;
    }

    /// The packages that processes use.
    pub(super) fn code_in_use(&self) -> BTreeSet<CodeSha256> {
        let state = lock(&self.state);
        state
            .idle
            .iter()
            .map(|idle| idle.sandbox.version.code)
            .chain(state.busy.iter().map(|version| version.code))
            .collect()
    }

    pub(super) async fn end_idle_since(&self, before: Instant) {
        let ended: Vec<Idle> = lock(&self.state).idle.extract_if(.., |idle| idle.since < before).collect();
        end(ended).await;
    }
}

impl State {
    /// What there is for a run at once; nothing where it had better wait for a busy process of its version.
    fn check_out(&mut self, version: &Arc<Version>, max: usize, own: &Arc<Mutex<Self>>) -> Option<Checkout> {
        if self.closed {
            return Some(Checkout::Closed);
        }
        if let Some(at) = self.idle.iter().rposition(|idle| idle.sandbox.version.is(version)) {
            let Idle { sandbox, slot, .. } = self.idle.remove(at);
            // One that was killed while it slept leaves its slot to a fresh one.
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

    /// The right to start a process, at whatever price.
    fn check_out_any(&mut self, max: usize, own: &Arc<Mutex<Self>>) -> Checkout {
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
        // Runs that went on without a process no longer wait.
        self.waiting.retain(|waiting| !waiting.hand.is_closed());
        let (hand, handed) = oneshot::channel();
        self.waiting.push(Waiting { version: Arc::clone(version), hand });
        handed
    }

    /// Gives a process to the first run that waits for one of its version; returns it if none does.
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
        // The slots of idle processes hold the state, and the state holds them: without this neither would be dropped.
        let idle = std::mem::take(&mut lock(&self.state).idle);
        drop(idle);
        self.rested.notify_one();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.state).taken -= 1;
    }
}

async fn end(idle: Vec<Idle>) {
    for Idle { mut sandbox, .. } in idle {
        sandbox.kill().await;
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
