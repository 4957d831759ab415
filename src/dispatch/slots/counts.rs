//! Counts the slots of each scope that this process has leased, and those in use.

use std::{collections::BTreeMap, sync::MutexGuard};

use tasklane_model::Timestamp;
use tasklane_runtime::lock::Lock;
use tasklane_store::SlotScope;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) leased: u16,
    pub(super) used: u16,
    /// The limit under which they were leased.
    pub(super) limit: u16,
    pub(super) expires: Timestamp,
    /// Whether all holders together have so many slots that others may need the idle ones of this process.
    pub(super) scarce: bool,
}

impl Count {
    fn check(&self) {
        debug_assert!(self.used <= self.leased, "more slots are in use than are leased: {self:?}");
    }
}

/// The slots of all scopes. No slot is handed out twice, even to concurrent threads.
#[derive(Default)]
pub(super) struct Counts(Lock<BTreeMap<SlotScope, Count>>);

impl Counts {
    /// Takes a leased slot if one is idle and its lease outlasts the run. A slot leased under a higher limit does not
    /// allow a run under a lower one: the ledger knows how much of the lower limit others have used.
    pub(super) fn take(&self, scope: &SlotScope, limit: u16, until: Timestamp) -> bool {
        match self.lock().get_mut(scope) {
            Some(count) if count.used < count.leased && count.limit <= limit && count.expires >= until => {
                count.used += 1;
                true
            }
            _ => false,
        }
    }

    /// Plans a lease. If one is needed, the idle slots are withheld until the ledger has answered, because the ledger
    /// may take them away.
    pub(super) fn plan<L>(&self, scope: &SlotScope, plan: impl FnOnce(Option<Count>) -> Option<L>) -> Option<L> {
        let mut counts = self.lock();
        let lease = plan(counts.get(scope).copied())?;
        if let Some(count) = counts.get_mut(scope) {
            count.leased = count.used;
        }
        Some(lease)
    }

    /// Withholds the idle slots of the selected scopes. Returns what is left in each.
    pub(super) fn withhold_idle(&self, wanted: impl Fn(&Count) -> bool) -> Vec<(SlotScope, Count)> {
        let mut counts = self.lock();
        let idle = counts.iter_mut().filter(|(_, count)| count.leased > count.used && wanted(count));
        idle.map(|(scope, count)| {
            count.leased = count.used;
            (scope.clone(), *count)
        })
        .collect()
    }

    /// Notes what the ledger granted, and takes one of those slots. `false` if all of them are in use.
    pub(super) fn grant(&self, scope: &SlotScope, granted: Count) -> bool {
        let mut counts = self.lock();
        let count = counts.entry(scope.clone()).or_insert(granted);
        *count = Count { used: count.used, ..granted };
        count.check();
        let idle = count.used < count.leased;
        count.used += u16::from(idle);
        idle
    }

    /// Frees the slots of runs that have ended.
    pub(super) fn free(&self, scopes: &[SlotScope]) {
        let mut counts = self.lock();
        for scope in scopes {
            if let Some(count) = counts.get_mut(scope) {
                debug_assert!(count.used > 0, "a slot of {scope} is returned twice");
                count.used = count.used.saturating_sub(1);
                count.check();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SlotScope, Count>> {
        self.0.lock()
    }
}
