//! How many slots of each scope this process has leased, and how many of them are in use.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tasklane_model::Timestamp;
use tasklane_store::SlotScope;

/// The slots of one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) leased: u16,
    pub(super) used: u16,
    /// The limit that they were leased under.
    pub(super) limit: u16,
    pub(super) expires: Timestamp,
    /// Whether all holders together hold so many that others may need what is idle here.
    pub(super) scarce: bool,
}

impl Count {
    fn check(&self) {
        debug_assert!(self.used <= self.leased, "more slots are in use than are leased: {self:?}");
    }
}

/// The slots of every scope. No slot is handed out twice, whichever threads ask.
#[derive(Default)]
pub(super) struct Counts(Mutex<BTreeMap<SlotScope, Count>>);

impl Counts {
    /// Takes a slot that is leased already, if one is idle and its lease outlasts the run. A lease under a higher limit does
    /// not allow a run under a lower one: the ledger says how much of that the other holders leave.
    pub(super) fn take(&self, scope: &SlotScope, limit: u16, until: Timestamp) -> bool {
        match self.lock().get_mut(scope) {
            Some(count) if count.used < count.leased && count.limit <= limit && count.expires >= until => {
                count.used += 1;
                true
            }
            _ => false,
        }
    }

    /// Plans a lease. If there is one to make, the idle slots are withheld from then on: the ledger may take them away,
    /// so nobody may be given one until it has answered.
    pub(super) fn plan<L>(&self, scope: &SlotScope, plan: impl FnOnce(Option<Count>) -> Option<L>) -> Option<L> {
        let mut counts = self.lock();
        let lease = plan(counts.get(scope).copied())?;
        if let Some(count) = counts.get_mut(scope) {
            count.leased = count.used;
        }
        Some(lease)
    }

    /// Withholds the idle slots of the scopes that are `wanted` back, and answers what is left of them.
    pub(super) fn withhold_idle(&self, wanted: impl Fn(&Count) -> bool) -> Vec<(SlotScope, Count)> {
        let mut counts = self.lock();
        let idle = counts.iter_mut().filter(|(_, count)| count.leased > count.used && wanted(count));
        idle.map(|(scope, count)| {
            count.leased = count.used;
            (scope.clone(), *count)
        })
        .collect()
    }

    /// Notes what the ledger granted, and takes a slot of it. `false`: all of them are in use.
    pub(super) fn grant(&self, scope: &SlotScope, granted: Count) -> bool {
        let mut counts = self.lock();
        let count = counts.entry(scope.clone()).or_insert(granted);
        *count = Count { used: count.used, ..granted };
        count.check();
        let idle = count.used < count.leased;
        count.used += u16::from(idle);
        idle
    }

    /// Takes slots back whose runs have ended.
    pub(super) fn free(&self, scopes: &[SlotScope]) {
        let mut counts = self.lock();
        for scope in scopes {
            if let Some(count) = counts.get_mut(scope) {
                debug_assert!(count.used > 0, "a slot of {scope} is given back twice");
                count.used = count.used.saturating_sub(1);
                count.check();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SlotScope, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
