//! Counts the slots that this process has leased from each row of the ledger, and those in use.

use std::{collections::BTreeMap, sync::MutexGuard};

use tasklane_model::Timestamp;
use tasklane_runtime::lock::Lock;
use tasklane_store::{SlotPart, SlotScope};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) leased: u16,
    pub(super) used: u16,
    /// The limit under which they were leased.
    pub(super) limit: u16,
    pub(super) expires: Timestamp,
    /// Whether all holders of the row together have so many slots that others may need the idle ones of this process.
    pub(super) scarce: bool,
}

impl Count {
    fn check(&self) {
        debug_assert!(self.used <= self.leased, "more slots are in use than are leased: {self:?}");
    }
}

/// The slots of all scopes. No slot is handed out twice, even to concurrent threads.
#[derive(Default)]
pub(super) struct Counts(Lock<BTreeMap<SlotPart, Count>>);

impl Counts {
    /// Takes a leased slot if one is idle and its lease outlasts the run. A slot leased under a higher limit does not
    /// allow a run under a lower one: the ledger knows how much of the lower limit others have used.
    pub(super) fn take(&self, scope: &SlotScope, limit: u16, until: Timestamp) -> Option<SlotPart> {
        let mut counts = self.lock();
        let (part, count) = of_scope_mut(&mut counts, scope)
            .find(|(_, count)| count.used < count.leased && count.limit <= limit && count.expires >= until)?;
        count.used += 1;
        Some(part.clone())
    }

    /// How many slots of the scope are in use, and a part in which some are idle.
    pub(super) fn of(&self, scope: &SlotScope) -> (u16, Option<SlotPart>) {
        let (mut used, mut idle) = (0_u16, None);
        for (part, count) in of_scope_mut(&mut self.lock(), scope) {
            used = used.saturating_add(count.used);
            idle = idle.or_else(|| (count.used < count.leased).then(|| part.clone()));
        }
        (used, idle)
    }

    /// Plans a lease. If one is needed, the idle slots are withheld until the ledger has answered, because the ledger
    /// may take them away.
    pub(super) fn plan<L>(&self, part: &SlotPart, plan: impl FnOnce(Option<Count>) -> Option<L>) -> Option<L> {
        let mut counts = self.lock();
        let lease = plan(counts.get(part).copied())?;
        if let Some(count) = counts.get_mut(part) {
            count.leased = count.used;
        }
        Some(lease)
    }

    /// Withholds the idle slots of the selected rows. Returns what is left in each.
    pub(super) fn withhold_idle(&self, wanted: impl Fn(&Count) -> bool) -> Vec<(SlotPart, Count)> {
        let mut counts = self.lock();
        let idle = counts.iter_mut().filter(|(_, count)| count.leased > count.used && wanted(count));
        idle.map(|(part, count)| {
            count.leased = count.used;
            (part.clone(), *count)
        })
        .collect()
    }

    /// Notes what the ledger granted, and takes one of those slots. `false` if all of them are in use.
    pub(super) fn grant(&self, part: &SlotPart, granted: Count) -> bool {
        let mut counts = self.lock();
        let count = counts.entry(part.clone()).or_insert(granted);
        *count = Count { used: count.used, ..granted };
        count.check();
        let idle = count.used < count.leased;
        count.used += u16::from(idle);
        idle
    }

    /// Frees the slots of runs that have ended.
    pub(super) fn free(&self, parts: &[SlotPart]) {
        let mut counts = self.lock();
        for part in parts {
            if let Some(count) = counts.get_mut(part) {
                debug_assert!(count.used > 0, "a slot of {} is returned twice", part.scope());
                count.used = count.used.saturating_sub(1);
                count.check();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SlotPart, Count>> {
        self.0.lock()
    }
}

/// The counts of a scope: of its main row, then of its parts.
fn of_scope_mut<'a>(
    counts: &'a mut BTreeMap<SlotPart, Count>,
    scope: &'a SlotScope,
) -> impl Iterator<Item = (&'a SlotPart, &'a mut Count)> {
    counts.range_mut(SlotPart::main(scope.clone())..).take_while(move |(part, _)| part.scope() == scope)
}
