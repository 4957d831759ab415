//! What a process asks the ledger for.

use std::{ops::RangeInclusive, time::Duration};

use tasklane_model::Timestamp;

use super::counts::Count;

/// For how long runs can be started on a lease: it lasts that much longer than the first of them may take.
const LEASE_SPARE: Duration = Duration::from_secs(30);

/// Who else leases slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotPolicy {
    /// Nobody: this process may keep all it can get.
    Alone,
    /// Other processes: lease what is used, give back what is not.
    Shared,
}

/// A lease to ask the ledger for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// At least as many slots as are in use, and at most as many as this process wants.
    pub(super) slots: RangeInclusive<u16>,
    /// When it ends.
    pub(super) expires: Timestamp,
}

/// The lease that one more run needs, which may hold its slot until `until`. `None`: the runs of this process alone reach
/// the limit.
pub(super) fn plan_lease(policy: SlotPolicy, held: Option<Count>, limit: u16, until: Timestamp) -> Option<Lease> {
    let in_use = held.filter(|count| count.used > 0);
    let used = in_use.map_or(0, |count| count.used);
    if used >= limit {
        return None;
    }
    let most = match policy {
        SlotPolicy::Alone => limit,
        SlotPolicy::Shared => used + 1,
    };
    let expires = until.saturating_add(LEASE_SPARE);
    // A lease with a run on it never becomes shorter: that run may need it.
    let expires = in_use.map_or(expires, |count| count.expires.max(expires));
    Some(Lease { slots: used..=most, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::EPOCH.saturating_add(Duration::from_secs(secs))
    }

    fn held(leased: u16, used: u16, expires: u64) -> Option<Count> {
        Some(Count { leased, used, limit: 5, expires: at(expires), scarce: false })
    }

    #[test]
    fn a_lease_covers_what_is_in_use_and_outlasts_the_run() {
        use SlotPolicy::{Alone, Shared};
        let cases = [
            (Shared, None, 5, Some((0..=1, 130)), "the first slot"),
            (Alone, None, 5, Some((0..=5, 130)), "all of them, when nobody else leases"),
            (Shared, held(2, 2, 90), 5, Some((2..=3, 130)), "one more"),
            (Shared, held(3, 2, 90), 5, Some((2..=3, 130)), "an idle one whose lease ends too soon"),
            (Shared, held(2, 2, 400), 5, Some((2..=3, 400)), "never shorter while a run is on it"),
            (Shared, held(2, 0, 400), 5, Some((0..=1, 130)), "shorter when no run is on it"),
            (Shared, held(5, 5, 400), 5, None, "the limit is reached"),
            (Shared, held(5, 3, 400), 2, None, "the limit was lowered"),
            (Alone, held(5, 1, 90), 2, Some((1..=2, 130)), "the limit was lowered, and one is left"),
        ];
        for (policy, held, limit, wanted, why) in cases {
            let wanted = wanted.map(|(slots, expires)| Lease { slots, expires: at(expires) });
            assert_eq!(plan_lease(policy, held, limit, at(100)), wanted, "{why}");
        }
    }
}
