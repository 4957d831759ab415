//! How many Tasks run at once: exact, without a counter per Task.
//!
//! Queued Tasks and direct executions have slots of their own, so that a backlog never shuts a waiting caller out. A
//! Function's own limit counts both.
//!
//! Each process leases slots in the store's ledger, where the sum of all leases never exceeds the limit, and hands the
//! leased ones out by itself. The slots of a process that died come back when its lease ends, and a lease never ends
//! before the last Task that was started on it can have ended.

mod counts;
mod lease;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tasklane_model::{ConcurrencyLimit, Function, TimeLimit, Timestamp};
use tasklane_ports::Clock;
use tasklane_store::{RunnerId, SlotLedger, SlotScope, StoreError};
use tracing::warn;

use counts::{Count, Counts};
pub use lease::SlotPolicy;
use lease::{Lease, plan_lease};

/// How much longer than its time limit a run may hold its slot: what it takes to start, stop and record it.
pub(super) const RUN_GRACE: Duration = Duration::from_secs(30);

/// Where others lease too, which part of a limit may be held by all of them together for one of them to keep what it does
/// not use. A process on Lambda stands still between its requests and could give nothing back when it is asked to: so
/// kept slots are lost to the others until their lease ends. They are worth two conversations with the ledger in each run.
const KEPT_PART: u32 = 4;

/// Which of the slots that are leased and not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// All of them: nothing is going to run here.
    All,
    /// Those that others may need: when few slots of a scope are held, its idle ones stay for the next run.
    Scarce,
}

/// How many runs all processes together may have in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLimits {
    /// Of queued Tasks.
    pub tasks: u16,
    /// Of direct executions.
    pub direct: u16,
}

/// The slots of this process.
pub struct Slots {
    ledger: SlotLedger,
    holder: RunnerId,
    clock: Arc<dyn Clock>,
    policy: SlotPolicy,
    limits: SlotLimits,
    counts: Arc<Counts>,
    /// Whether a dispatcher of this process may have been refused, and waits for a slot.
    wanted: AtomicBool,
    /// One conversation with the ledger at a time: two would each ask for what the other was just granted.
    leasing: tokio::sync::Mutex<()>,
}

/// The answer to a wish for a slot.
pub enum Acquired {
    /// Here it is.
    Granted(Slot),
    /// Every slot of this scope is in use.
    Full(SlotScope),
}

/// The right to run one Task, given back when it is dropped.
pub struct Slot {
    scopes: Vec<SlotScope>,
    counts: Arc<Counts>,
}

impl Slots {
    /// Slots of `holder`, of which all processes together have as many as `limits` say.
    pub fn new(
        ledger: SlotLedger,
        holder: RunnerId,
        clock: Arc<dyn Clock>,
        policy: SlotPolicy,
        limits: SlotLimits,
    ) -> Self {
        Self {
            ledger,
            holder,
            clock,
            policy,
            limits,
            counts: Arc::default(),
            wanted: AtomicBool::new(false),
            leasing: tokio::sync::Mutex::new(()),
        }
    }

    /// Who holds them.
    pub fn holder(&self) -> &RunnerId {
        &self.holder
    }

    /// A slot to run a queued Task of this Function in.
    pub async fn acquire_queued(&self, function: &Function) -> Result<Acquired, StoreError> {
        self.acquire(SlotScope::Tasks, self.limits.tasks, function).await
    }

    /// A slot to execute this Function in directly.
    pub async fn acquire_direct(&self, function: &Function) -> Result<Acquired, StoreError> {
        let acquired = self.acquire(SlotScope::Direct, self.limits.direct, function).await?;
        if matches!(acquired, Acquired::Full(_)) && self.policy == SlotPolicy::Shared {
            // It takes two. One may have been leased before the other was refused, and nobody comes back for it.
            self.give_back(Idle::Scarce).await;
        }
        Ok(acquired)
    }

    /// A slot of this scope, and of the Function's own limit, if it has one. That one first: where it is reached, nothing
    /// is leased that others could use.
    async fn acquire(&self, scope: SlotScope, limit: u16, function: &Function) -> Result<Acquired, StoreError> {
        let own = match function.execution_options.concurrency_limit.map(ConcurrencyLimit::get) {
            None => None,
            Some(limit) => {
                let scope = SlotScope::Function(function.name.clone());
                match self.acquire_within(scope, limit, function.time_limit()).await? {
                    Acquired::Granted(own) => Some(own),
                    full @ Acquired::Full(_) => return Ok(full),
                }
            }
        };
        Ok(match self.acquire_within(scope, limit, function.time_limit()).await? {
            Acquired::Granted(slot) => Acquired::Granted(slot.with(own)),
            full @ Acquired::Full(_) => full,
        })
    }

    /// Gives back what is leased and not used, when others lease too. Answers whether a dispatcher may wait for it, or for a
    /// slot that was given back within this process.
    ///
    /// A slot that stays leased is lost to others until its lease ends: that costs time, never the limit, so an error is
    /// not worth more than a line of the log.
    pub async fn give_back(&self, idle: Idle) -> bool {
        match self.policy {
            SlotPolicy::Alone => self.wanted.swap(false, Ordering::SeqCst),
            SlotPolicy::Shared => self.settle(idle).await.unwrap_or_else(|error| {
                warn!(%error, "unused slots were not given back; they come back when their lease ends");
                true
            }),
        }
    }

    /// A dispatcher that was refused a slot found all of them held. So one may wait if all were held until now.
    async fn settle(&self, idle: Idle) -> Result<bool, StoreError> {
        let _turn = self.leasing.lock().await;
        // Withheld first, so that nobody here is given a slot that is on its way back. If the ledger does not answer, it
        // holds more for this process than is in use.
        let given_back = self.counts.withhold_idle(|count| idle == Idle::All || count.scarce);
        let mut awaited = false;
        for (scope, count) in given_back {
            let in_use = count.used..=count.used;
            let left =
                self.ledger.lease(&scope, &self.holder, in_use, u16::MAX, count.expires, self.clock.now()).await?;
            awaited |= dispatchers_wait_for(&scope) && left.before >= u32::from(count.limit);
        }
        Ok(awaited)
    }

    async fn acquire_within(
        &self,
        scope: SlotScope,
        limit: u16,
        time_limit: TimeLimit,
    ) -> Result<Acquired, StoreError> {
        let until = |now: Timestamp| now.saturating_add(time_limit.as_duration() + RUN_GRACE);
        if self.counts.take(&scope, limit, until(self.clock.now())) {
            return Ok(Acquired::Granted(self.slot(scope)));
        }
        // Before the second look: a run that gives its slot back after that look finds this set.
        if dispatchers_wait_for(&scope) {
            self.wanted.store(true, Ordering::SeqCst);
        }
        let _turn = self.leasing.lock().await;
        let now = self.clock.now();
        let taken = self.counts.take(&scope, limit, until(now)) || self.lease(&scope, limit, until(now), now).await?;
        Ok(if taken { Acquired::Granted(self.slot(scope)) } else { Acquired::Full(scope) })
    }

    /// Leases one more slot until `until` at least, and takes it. `false`: every slot is in use.
    async fn lease(&self, scope: &SlotScope, limit: u16, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let plan = |held| plan_lease(self.policy, held, limit, until);
        let Some(Lease { slots, expires }) = self.counts.plan(scope, plan) else { return Ok(false) };
        let leased = self.ledger.lease(scope, &self.holder, slots, limit, expires, now).await?;
        let scarce = leased.after.saturating_mul(KEPT_PART) > u32::from(limit);
        Ok(self.counts.grant(scope, Count { leased: leased.slots, used: 0, limit, expires, scarce }))
    }

    fn slot(&self, scope: SlotScope) -> Slot {
        Slot { scopes: vec![scope], counts: Arc::clone(&self.counts) }
    }
}

impl Slot {
    /// This one and another, to be given back together.
    fn with(mut self, other: Option<Self>) -> Self {
        if let Some(mut other) = other {
            self.scopes.append(&mut other.scopes);
        }
        self
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.counts.free(&self.scopes);
    }
}

/// Whether a queued Task may wait for a slot of this scope. A direct execution is refused and never waits.
fn dispatchers_wait_for(scope: &SlotScope) -> bool {
    match scope {
        SlotScope::Tasks | SlotScope::Function(_) => true,
        SlotScope::Direct => false,
    }
}
