//! Where this process looks for a free slot of a scope that is divided into parts.

use std::{collections::BTreeMap, time::Duration};

use tasklane_model::Timestamp;
use tasklane_runtime::{hash::fnv1a, lock::Lock};
use tasklane_store::{RunnerId, SlotScope};

/// How long a scope that was found full is taken for full. Meanwhile one part is read for each slot that is wanted, and
/// not all of them.
const FULL_FOR: Duration = Duration::from_secs(2);

/// The searches of all scopes.
pub(super) struct Searches {
    /// The index of the part at which this process begins. It differs between processes.
    first: u16,
    scopes: Lock<BTreeMap<SlotScope, Search>>,
}

#[derive(Clone, Copy, Default)]
struct Search {
    /// The index of the part that had a slot, or of the next one to look at. `None` before the first search.
    next: Option<u16>,
    /// When no part had a free slot, and under which limit.
    full: Option<(Timestamp, u16)>,
}

impl Searches {
    pub(super) fn of(holder: &RunnerId) -> Self {
        Self { first: u16::try_from(fnv1a(holder.as_str()) >> 16).unwrap_or(0), scopes: Lock::default() }
    }

    /// The index of the part to look at first.
    pub(super) fn next(&self, scope: &SlotScope) -> u16 {
        self.scopes.lock().get(scope).and_then(|search| search.next).unwrap_or(self.first)
    }

    /// Whether the scope was full a moment ago.
    pub(super) fn was_full(&self, scope: &SlotScope, limit: u16, now: Timestamp) -> bool {
        let full = self.scopes.lock().get(scope).and_then(|search| search.full);
        full.is_some_and(|(at, under)| under >= limit && now < at.saturating_add(FULL_FOR))
    }

    /// The part with this index had a free slot.
    pub(super) fn found(&self, scope: &SlotScope, index: u16) {
        self.scopes.lock().insert(scope.clone(), Search { next: Some(index), full: None });
    }

    /// The part with this index had none, and only it was looked at.
    pub(super) fn look_behind(&self, scope: &SlotScope, index: u16) {
        self.scopes.lock().entry(scope.clone()).or_default().next = Some(index.wrapping_add(1));
    }

    /// No part had a free slot.
    pub(super) fn note_full(&self, scope: &SlotScope, limit: u16, now: Timestamp) {
        self.scopes.lock().entry(scope.clone()).or_default().full = Some((now, limit));
    }

    /// A slot may have been returned meanwhile.
    pub(super) fn forget_full(&self) {
        self.scopes.lock().values_mut().for_each(|search| search.full = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_full_for_a_moment_and_under_no_higher_limit() {
        let searches = Searches::of(&RunnerId::new("a"));
        let at = |millis| Timestamp::EPOCH.saturating_add(Duration::from_millis(millis));
        let full = |limit, millis| searches.was_full(&SlotScope::Tasks, limit, at(millis));
        searches.note_full(&SlotScope::Tasks, 100, at(0));
        assert!(full(100, 1999) && full(50, 1999) && !full(101, 1) && !full(100, 2000));
        assert!(!searches.was_full(&SlotScope::Direct, 100, at(1)));
        searches.forget_full();
        assert!(!full(100, 1));
    }

    #[test]
    fn processes_begin_at_different_parts_and_go_on_where_they_found_a_slot() {
        let first = |name: &str| Searches::of(&RunnerId::new(name)).next(&SlotScope::Direct);
        let firsts: std::collections::BTreeSet<u16> = (0..84).map(|n| first(&format!("aws-{n:016x}")) % 84).collect();
        assert!(firsts.len() > 42, "84 processes begin at {} of 84 parts", firsts.len());
        let searches = Searches::of(&RunnerId::new("a"));
        searches.found(&SlotScope::Direct, 7);
        assert_eq!(searches.next(&SlotScope::Direct), 7);
        searches.look_behind(&SlotScope::Direct, 7);
        assert_eq!(searches.next(&SlotScope::Direct), 8);
    }
}
