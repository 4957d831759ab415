//! The processes that wait for work, and how many there may be.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::{Engine, code::CodeHash, sandbox::Sandbox, versions::Version};

/// How long a process rests before it is frozen. Stopping it, and letting it go on, costs more than most calls, and under
/// load the next call comes sooner.
const FREEZE_AFTER: Duration = Duration::from_millis(10);

/// The processes of all Functions.
#[derive(Debug)]
pub(super) struct Pool {
    max: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// How many slots are taken, by busy processes and idle ones.
    taken: usize,
    /// The packages of busy processes.
    busy: Vec<CodeHash>,
    /// The least recently used first.
    idle: Vec<Idle>,
    /// How often a process came to rest.
    rests: u64,
    closed: bool,
}

#[derive(Debug)]
struct Idle {
    sandbox: Sandbox,
    slot: Slot,
    since: Instant,
    /// Which rest it is.
    rest: u64,
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
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), state: Arc::default() }
    }

    /// The most processes at once.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// An idle process of the version, the one used last; else a slot; else the slot of the process idle longest.
    pub(super) fn check_out(&self, version: &Version) -> Checkout {
        let mut state = lock(&self.state);
        if state.closed {
            return Checkout::Closed;
        }
        let same =
            |idle: &Idle| idle.sandbox.version.id == version.id && idle.sandbox.version.function == version.function;
        if let Some(at) = state.idle.iter().rposition(same) {
            let Idle { sandbox, slot, .. } = state.idle.remove(at);
            // One that somebody else killed while it slept leaves its slot to a fresh one.
            return match sandbox.has_exited() {
                false => Checkout::Warm(sandbox, slot),
                true => Checkout::Cold(slot, Some(sandbox)),
            };
        }
        if state.taken < self.max {
            state.taken += 1;
            return Checkout::Cold(Slot { state: self.state.clone() }, None);
        }
        if state.idle.is_empty() {
            return Checkout::Full;
        }
        let Idle { sandbox, slot, .. } = state.idle.remove(0);
        Checkout::Cold(slot, Some(sandbox))
    }

    /// Notes that a process uses this package, until [`Pool::rest`] or [`Pool::gone`].
    pub(super) fn busy(&self, code: &CodeHash) {
        lock(&self.state).busy.push(code.clone());
    }

    /// Takes a process back that is ready for its next run, and freezes it when none comes at once.
    pub(super) fn rest(&self, sandbox: Sandbox, slot: Slot) {
        let mut state = lock(&self.state);
        state.forget_busy(&sandbox.version.code);
        if state.closed {
            // Dropped outside of the lock: that takes a while, and the slot takes the lock.
            drop(state);
            drop((sandbox, slot));
            return;
        }
        state.rests += 1;
        let rest = state.rests;
        state.idle.push(Idle { sandbox, slot, since: Instant::now(), rest });
        drop(state);
        let state = Arc::downgrade(&self.state);
        tokio::spawn(async move {
            tokio::time::sleep(FREEZE_AFTER).await;
            let Some(state) = state.upgrade() else { return };
            // Under the lock, so that no run begins in a process that is being stopped.
            let state = lock(&state);
            if let Some(idle) = state.idle.iter().find(|idle| idle.rest == rest) {
                idle.sandbox.freeze();
            }
        });
    }

    /// How many processes are busy.
    pub(super) fn busy_count(&self) -> usize {
        lock(&self.state).busy.len()
    }

    /// Notes that a busy process is no more.
    pub(super) fn gone(&self, code: &CodeHash) {
        lock(&self.state).forget_busy(code);
    }

    /// Gives out nothing any more.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
    }

    /// Ends the idle processes of these versions.
    pub(super) async fn end_idle(&self, versions: impl Fn(&Version) -> bool) {
        let ended: Vec<Idle> = lock(&self.state).idle.extract_if(.., |idle| versions(&idle.sandbox.version)).collect();
        end(ended).await;
    }

    /// The packages that processes use.
    pub(super) fn code_in_use(&self) -> BTreeSet<CodeHash> {
        let state = lock(&self.state);
        state.idle.iter().map(|idle| idle.sandbox.version.code.clone()).chain(state.busy.iter().cloned()).collect()
    }

    async fn end_idle_since(&self, before: Instant) {
        let ended: Vec<Idle> = lock(&self.state).idle.extract_if(.., |idle| idle.since < before).collect();
        end(ended).await;
    }
}

impl State {
    fn forget_busy(&mut self, code: &CodeHash) {
        if let Some(at) = self.busy.iter().position(|busy| busy == code) {
            self.busy.swap_remove(at);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // The slots of idle processes hold the state, and the state holds them: without this neither ever went.
        let idle = std::mem::take(&mut lock(&self.state).idle);
        drop(idle);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.state).taken -= 1;
    }
}

/// Ends processes that were idle for too long, until the engine is gone.
pub(super) fn reap_idle(engine: Weak<Engine>) {
    tokio::spawn(async move {
        loop {
            let Some(idle_after) = engine.upgrade().map(|engine| engine.config.idle_after) else { return };
            tokio::time::sleep((idle_after / 4).clamp(Duration::from_millis(20), Duration::from_secs(10))).await;
            let Some(engine) = engine.upgrade() else { return };
            if let Some(before) = Instant::now().checked_sub(idle_after) {
                engine.pool.end_idle_since(before).await;
            }
        }
    });
}

async fn end(idle: Vec<Idle>) {
    for Idle { mut sandbox, .. } in idle {
        sandbox.kill().await;
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
