//! Limits how many Tasks run at once, exactly and without a write per Task.
//!
//! Queued Tasks and direct executions have separate slots, so that a backlog never blocks callers. A Function's own
//! limit applies to both together.
//!
//! Each process leases slots from a ledger in the store, in which the sum of all leases never exceeds the limit, and
//! assigns the leased slots to its runs. If a process dies, its slots become free when its lease ends. A lease never
//! ends before the last run that was started on it must have ended.
//!
//! A scope with a high limit is divided into parts, each with a row of its own in the ledger. A process begins where it
//! found a slot last. If that part and the next one are full, it looks at all of them once, and then remembers for a
//! moment that the scope is full.

mod counts;
mod lease;
mod search;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tasklane_model::{ConcurrencyLimit, Function, TimeLimit, Timestamp};
use tasklane_ports::Clock;
use tasklane_store::{RunnerId, SlotLedger, SlotPart, SlotScope, StoreError};
use tracing::warn;

use counts::{Count, Counts};
pub use lease::SlotPolicy;
use lease::{Lease, plan_lease};
use search::Searches;

/// How much longer than its time limit a run may hold its slot: time to start it, stop it and record its outcome.
pub(super) const RUN_GRACE: Duration = Duration::from_secs(30);

/// With several processes, each may keep its idle slots only while all processes together hold at most this fraction of
/// the limit. On Lambda a process is frozen between requests and cannot return slots on demand, so others have to wait
/// until its lease ends. Keeping a slot saves two requests to the ledger per run.
const KEPT_PART: u32 = 4;

/// How many parts of a scope are tried one after the other, before all of them are read at once.
const TRIED_FIRST: u16 = 2;

/// How many of the parts that had a free slot when all were read are tried. Others may take the slots meanwhile.
const TRIED_THEN: usize = 8;

/// Which of the idle leased slots to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// All of them: nothing will run here.
    All,
    /// Those that others may need. While few slots of a scope are held, its idle ones are kept for the next run.
    Scarce,
}

/// The most runs at once, in all processes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLimits {
    /// For queued Tasks.
    pub tasks: u16,
    /// For direct executions.
    pub direct: u16,
}

pub struct Slots {
    ledger: SlotLedger,
    holder: RunnerId,
    clock: Arc<dyn Clock>,
    policy: SlotPolicy,
    limits: SlotLimits,
    counts: Arc<Counts>,
    searches: Searches,
    /// Whether a dispatcher of this process may have been refused a slot and is waiting for one.
    wanted: AtomicBool,
    /// Held during a request to the ledger: two concurrent ones would each ask for what the other was just granted.
    leasing: tokio::sync::Mutex<()>,
}

/// The result of a request for a slot.
pub enum Acquired {
    Granted(Slot),
    /// All slots of this scope are in use.
    Full(SlotScope),
}

/// The right to run one Task, returned when dropped.
pub struct Slot {
    parts: Vec<SlotPart>,
    counts: Arc<Counts>,
}

impl Slots {
    /// Slots for `holder`. All processes together have as many as `limits` allows.
    pub fn new(
        ledger: SlotLedger,
        holder: RunnerId,
        clock: Arc<dyn Clock>,
        policy: SlotPolicy,
        limits: SlotLimits,
    ) -> Self {
        Self {
            searches: Searches::of(&holder),
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

    pub fn holder(&self) -> &RunnerId {
        &self.holder
    }

    /// The most runs at once.
    pub fn limits(&self) -> SlotLimits {
        self.limits
    }

    /// How many slots of this scope are in use, or reserved by a process.
    pub async fn held(&self, scope: &SlotScope) -> Result<u16, StoreError> {
        match self.policy {
            // It leases all of them at once, and knows which ones it uses.
            SlotPolicy::Alone => Ok(self.counts.of(scope).0),
            SlotPolicy::Shared => self.ledger.held(scope, self.clock.now()).await,
        }
    }

    /// A slot to run a queued Task of this Function.
    pub async fn acquire_queued(&self, function: &Function) -> Result<Acquired, StoreError> {
        self.acquire(SlotScope::Tasks, self.limits.tasks, function).await
    }

    /// A slot to execute this Function directly.
    pub async fn acquire_direct(&self, function: &Function) -> Result<Acquired, StoreError> {
        let acquired = self.acquire(SlotScope::Direct, self.limits.direct, function).await?;
        if matches!(acquired, Acquired::Full(_)) && self.policy == SlotPolicy::Shared {
            // It takes two slots. One may have been leased before the other was refused, and would not be used soon.
            self.give_back(Idle::Scarce).await;
        }
        Ok(acquired)
    }

    /// A slot of this scope, and one of the Function's own limit if it has one. The Function's comes first, so that if
    /// its limit is reached, no slot that others could use is leased.
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

    /// Returns idle slots if other processes lease slots too. The result says whether a dispatcher may be waiting for
    /// them, or for a slot that was returned within this process.
    ///
    /// A slot that cannot be returned is unavailable to others until its lease ends. That costs time but never exceeds
    /// the limit, so an error is only logged.
    pub async fn give_back(&self, idle: Idle) -> bool {
        match self.policy {
            SlotPolicy::Alone => self.wanted.swap(false, Ordering::SeqCst),
            SlotPolicy::Shared => self.settle(idle).await.unwrap_or_else(|error| {
                warn!(%error, "idle slots were not returned; they become free when their lease ends");
                true
            }),
        }
    }

    /// Forgets which scopes were full: a wake-up says that a slot may have been returned.
    pub(super) fn forget_full(&self) {
        self.searches.forget_full();
    }

    /// A dispatcher that was refused a slot found all of them held, and so all of each part. So one may be waiting if all
    /// slots of the part were held until now.
    async fn settle(&self, idle: Idle) -> Result<bool, StoreError> {
        let _turn = self.leasing.lock().await;
        // Withheld first, so that no slot is handed out while it is being returned. If the ledger does not answer, it
        // records more slots for this process than are in use.
        let given_back = self.counts.withhold_idle(|count| idle == Idle::All || count.scarce);
        let mut awaited = false;
        for (part, count) in given_back {
            let in_use = count.used..=count.used;
            let now = self.clock.now();
            let left = self.ledger.lease(&part, &self.holder, in_use, count.limit, count.expires, now).await?;
            awaited |= dispatchers_wait_for(part.scope()) && left.was_full;
            // What is free now is free to this process, too.
            self.searches.forget_full();
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
        if let Some(part) = self.counts.take(&scope, limit, until(self.clock.now())) {
            return Ok(Acquired::Granted(self.slot(part)));
        }
        // Set before the second attempt, so that a run that returns its slot after that sees it.
        if dispatchers_wait_for(&scope) {
            self.wanted.store(true, Ordering::SeqCst);
        }
        let _turn = self.leasing.lock().await;
        let now = self.clock.now();
        let taken = match self.counts.take(&scope, limit, until(now)) {
            Some(part) => Some(part),
            None => self.lease(&scope, limit, until(now), now).await?,
        };
        Ok(taken.map_or_else(|| Acquired::Full(scope), |part| Acquired::Granted(self.slot(part))))
    }

    /// Leases one more slot, at least until `until`, and takes it. `None` if all slots are in use.
    async fn lease(
        &self,
        scope: &SlotScope,
        limit: u16,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<SlotPart>, StoreError> {
        let (used, idle) = self.counts.of(scope);
        if used >= limit {
            return Ok(None);
        }
        let parts = self.ledger.parts(limit);
        let first = idle.map_or_else(|| self.searches.next(scope), |part| part.index());
        let was_full = parts > 1 && self.searches.was_full(scope, limit, now);
        let tried = if was_full { 1 } else { TRIED_FIRST.min(parts).max(1) };
        for index in (0..tried).map(|tried| first.wrapping_add(tried)) {
            let part = self.ledger.part(scope, limit, index);
            if self.lease_from(&part, limit, until, now).await? {
                return Ok(Some(part));
            }
        }
        if was_full {
            self.searches.look_behind(scope, first);
            return Ok(None);
        }
        if parts > tried {
            let open = self.ledger.with_room(scope, limit, first, now).await?;
            for part in open.into_iter().take(TRIED_THEN) {
                if self.lease_from(&part, limit, until, now).await? {
                    return Ok(Some(part));
                }
            }
        }
        if parts > 1 {
            self.searches.note_full(scope, limit, now);
        }
        Ok(None)
    }

    /// Leases one more slot from this part and takes it. `false` if all of them are in use.
    async fn lease_from(
        &self,
        part: &SlotPart,
        limit: u16,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let plan = |held| plan_lease(self.policy, held, limit, until);
        let Some(Lease { slots, expires }) = self.counts.plan(part, plan) else { return Ok(false) };
        let leased = self.ledger.lease(part, &self.holder, slots, limit, expires, now).await?;
        let scarce = leased.held.saturating_mul(KEPT_PART) > u32::from(leased.of);
        let taken = self.counts.grant(part, Count { leased: leased.slots, used: 0, limit, expires, scarce });
        if taken && *part != SlotPart::main(part.scope().clone()) {
            self.searches.found(part.scope(), part.index());
        }
        Ok(taken)
    }

    fn slot(&self, part: SlotPart) -> Slot {
        Slot { parts: vec![part], counts: Arc::clone(&self.counts) }
    }
}

impl Slot {
    /// Combines two slots, which are then returned together.
    fn with(mut self, other: Option<Self>) -> Self {
        if let Some(mut other) = other {
            self.parts.append(&mut other.parts);
        }
        self
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.counts.free(&self.parts);
    }
}

/// Whether a queued Task may wait for a slot of this scope. A direct execution never waits; it is refused.
fn dispatchers_wait_for(scope: &SlotScope) -> bool {
    match scope {
        SlotScope::Tasks | SlotScope::Function(_) => true,
        SlotScope::Direct => false,
    }
}
