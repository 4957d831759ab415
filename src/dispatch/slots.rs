//! How many Tasks run at once: exact, without a counter per Task.
//!
//! Each process leases slots in the store's ledger, where the sum of all leases never exceeds the limit, and hands the
//! leased ones out by itself. The slots of a process that died come back when its lease ends, and a lease never ends
//! before the last Task that was started on it can have ended.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tracing::warn;

use crate::{
    model::{ConcurrencyLimit, Function, TimeLimit, Timestamp},
    ports::Clock,
    store::{RunnerId, SlotLedger, SlotScope, StoreError},
};

/// How much longer than its time limit a run may hold its slot: what it takes to start, stop and record it.
pub(super) const RUN_GRACE: Duration = Duration::from_secs(30);

/// How long a lease lasts when it is taken: the longest run, its grace, and a while to start runs in.
const LEASE: Duration = Duration::from_secs(300 + 30 + 90);

/// Who else leases slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotPolicy {
    /// Nobody: this process may keep all it can get.
    Alone,
    /// Other processes: lease what is used, give back what is not.
    Shared,
}

/// The slots of this process.
pub struct Slots {
    ledger: SlotLedger,
    holder: RunnerId,
    clock: Arc<dyn Clock>,
    policy: SlotPolicy,
    task_limit: u16,
    counts: Arc<Mutex<BTreeMap<SlotScope, Count>>>,
    /// Whether somebody here may have been told that every slot is in use, and waits for one.
    wanted: AtomicBool,
    /// One conversation with the ledger at a time: two would each ask for what the other was just granted.
    leasing: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct Count {
    leased: u16,
    used: u16,
    /// The limit that they were leased under.
    limit: u16,
    expires: Timestamp,
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
    counts: Arc<Mutex<BTreeMap<SlotScope, Count>>>,
}

impl Slots {
    /// Slots of `holder`, of which all processes together have `task_limit`.
    pub fn new(
        ledger: SlotLedger,
        holder: RunnerId,
        clock: Arc<dyn Clock>,
        policy: SlotPolicy,
        task_limit: u16,
    ) -> Self {
        Self {
            ledger,
            holder,
            clock,
            policy,
            task_limit,
            counts: Arc::default(),
            wanted: AtomicBool::new(false),
            leasing: tokio::sync::Mutex::new(()),
        }
    }

    /// Who holds them.
    pub fn holder(&self) -> &RunnerId {
        &self.holder
    }

    /// A slot to run any Function in. Whoever then runs one with a limit of its own narrows it down.
    pub async fn acquire(&self) -> Result<Acquired, StoreError> {
        self.acquire_within(SlotScope::Tasks, self.task_limit, TimeLimit::MAX).await
    }

    /// A slot to run this Function in.
    pub async fn acquire_for(&self, function: &Function) -> Result<Acquired, StoreError> {
        let mut slot = match self.acquire().await? {
            Acquired::Granted(slot) => slot,
            full @ Acquired::Full(_) => return Ok(full),
        };
        if self.narrow(&mut slot, function).await? {
            Ok(Acquired::Granted(slot))
        } else {
            Ok(Acquired::Full(SlotScope::Function(function.name.clone())))
        }
    }

    /// Counts the slot against the Function's own limit too, if it has one. `false`: that limit is reached, and the
    /// slot is as it was.
    pub async fn narrow(&self, slot: &mut Slot, function: &Function) -> Result<bool, StoreError> {
        let Some(limit) = function.execution_options.concurrency_limit.map(ConcurrencyLimit::get) else {
            return Ok(true);
        };
        let scope = SlotScope::Function(function.name.clone());
        match self.acquire_within(scope, limit, function.time_limit).await? {
            Acquired::Granted(mut own) => {
                slot.scopes.append(&mut own.scopes);
                Ok(true)
            }
            Acquired::Full(_) => Ok(false),
        }
    }

    /// Gives back to the ledger what is leased and not used, so that another process can have it.
    pub async fn settle(&self) -> Result<(), StoreError> {
        let _turn = self.leasing.lock().await;
        // Lowered here first, so that nobody takes a slot that is on its way back. Should the ledger not answer, it
        // holds more for us than we use: that costs others a slot until the lease ends, never the limit.
        let idle: Vec<(SlotScope, Count)> = self
            .lock()
            .iter_mut()
            .filter(|(_, count)| count.leased > count.used)
            .map(|(scope, count)| {
                count.leased = count.used;
                (scope.clone(), *count)
            })
            .collect();
        for (scope, count) in idle {
            let in_use = count.used..=count.used;
            self.ledger.lease(&scope, &self.holder, in_use, u16::MAX, count.expires, self.clock.now()).await?;
        }
        Ok(())
    }

    /// Gives back what is leased and not used when others lease too. A slot that stays leased is lost to them until
    /// its lease ends: that costs time, never the limit, so an error is not worth more than a line of the log.
    pub async fn give_back_idle(&self) {
        match self.policy {
            SlotPolicy::Alone => {}
            SlotPolicy::Shared => {
                if let Err(error) = self.settle().await {
                    warn!(%error, "unused slots were not given back; they come back when their lease ends");
                }
            }
        }
    }

    /// Whether somebody may wait for the slot that was just given back. Of other processes nothing is known.
    pub fn somebody_waits(&self) -> bool {
        match self.policy {
            SlotPolicy::Alone => self.wanted.swap(false, Ordering::SeqCst),
            SlotPolicy::Shared => true,
        }
    }

    async fn acquire_within(
        &self,
        scope: SlotScope,
        limit: u16,
        time_limit: TimeLimit,
    ) -> Result<Acquired, StoreError> {
        let until = |now: Timestamp| now.saturating_add(time_limit.as_duration() + RUN_GRACE);
        if self.take_leased(&scope, limit, until(self.clock.now())) {
            return Ok(Acquired::Granted(self.slot(scope)));
        }
        // Before the second look: whoever gives a slot back after it finds this set.
        self.wanted.store(true, Ordering::SeqCst);
        let _turn = self.leasing.lock().await;
        let now = self.clock.now();
        if self.take_leased(&scope, limit, until(now)) {
            return Ok(Acquired::Granted(self.slot(scope)));
        }
        let used = self.lock().get(&scope).map_or(0, |count| count.used);
        if used >= limit {
            return Ok(Acquired::Full(scope));
        }
        let wanted = match self.policy {
            SlotPolicy::Alone => limit,
            SlotPolicy::Shared => used + 1,
        };
        let expires = now.saturating_add(LEASE);
        // Lowered here first: what is idle may have to be given back, and nobody must take it meanwhile.
        if let Some(count) = self.lock().get_mut(&scope) {
            count.leased = count.used;
        }
        let leased = self.ledger.lease(&scope, &self.holder, used..=wanted, limit, expires, now).await?;
        let used = {
            let mut counts = self.lock();
            let count = counts.entry(scope.clone()).or_insert(Count { leased, used: 0, limit, expires });
            count.leased = leased;
            count.limit = limit;
            count.expires = expires;
            if count.used < leased {
                count.used += 1;
                true
            } else {
                false
            }
        };
        Ok(if used { Acquired::Granted(self.slot(scope)) } else { Acquired::Full(scope) })
    }

    /// Takes a slot that is leased already, if one is free and its lease outlasts the run. What was leased under a higher
    /// limit is no right to run under a lower one: the ledger says how many of all holders' slots are left of it.
    fn take_leased(&self, scope: &SlotScope, limit: u16, until: Timestamp) -> bool {
        let mut counts = self.lock();
        match counts.get_mut(scope) {
            Some(count) if count.used < count.leased && count.limit <= limit && count.expires >= until => {
                count.used += 1;
                true
            }
            _ => false,
        }
    }

    fn slot(&self, scope: SlotScope) -> Slot {
        Slot { scopes: vec![scope], counts: Arc::clone(&self.counts) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<SlotScope, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Gives back what [`Slots::narrow`] took, keeping the slot itself.
    pub fn widen(&mut self) {
        let own = self.scopes.split_off(1.min(self.scopes.len()));
        give_back(&self.counts, &own);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        give_back(&self.counts, &self.scopes);
    }
}

fn give_back(counts: &Mutex<BTreeMap<SlotScope, Count>>, scopes: &[SlotScope]) {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    for scope in scopes {
        if let Some(count) = counts.get_mut(scope) {
            count.used = count.used.saturating_sub(1);
        }
    }
}
