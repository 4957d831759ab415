//! Plans which lease a process requests from the ledger.

use std::{ops::RangeInclusive, time::Duration};

use tasklane_model::Timestamp;

use super::counts::Count;

/// How long new runs can be started on a lease: it lasts this much longer than its first run may take.
const LEASE_SPARE: Duration = Duration::from_secs(30);

/// Whether other processes lease slots too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotPolicy {
    /// They do not: this process may keep all slots.
    Alone,
    /// They do: lease only the slots in use, and return idle ones.
    Shared,
}

/// A lease to request from the ledger.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// At least as many slots as are in use, at most as many as this process wants.
    pub(super) slots: RangeInclusive<u16>,
    pub(super) expires: Timestamp,
}

/// The lease for one more run that may hold its slot until `until`. `None` if the runs of this process alone reach the
/// limit.
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
    // A lease is never shortened while a run uses it: the run may need the time.
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
    fn a_lease_covers_the_slots_in_use_and_outlasts_the_run() {
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
