//! The lanes: which part of its life an unfinished Task is in, and its position there.
//!
//! A lane is one partition (per shard) of the sparse index `lane`; a finished row is in none. Within a lane, rows are
//! ordered by a string of fixed width that sorts like the values in it.

use std::fmt;

use tasklane_model::{FunctionName, Lane, ObjectId, Priority, Timestamp};

/// The lane in which a due Task waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueLane {
    /// The lane of all Functions without their own.
    Shared,
    /// The lane of one Function that may be held.
    Own(FunctionName),
}

impl QueueLane {
    /// The lane for the due Tasks of this Function.
    pub fn of(queue: Lane, function: &FunctionName) -> Self {
        match queue {
            Lane::Shared => Self::Shared,
            Lane::Own => Self::Own(function.clone()),
        }
    }
}

/// The position of a due Task in its lane. The smallest runs first: the highest priority, then the earliest start, then
/// the earliest id (contract §4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadyKey(String);

impl ReadyKey {
    pub fn new(priority: Priority, start: Timestamp, id: ObjectId) -> Self {
        // The highest comes first, so count down from the maximum; the range is twice ±(2^53 − 1), 17 digits.
        let inverted = Priority::MAX.get() - priority.get();
        Self(format!("{inverted:017}.{}", timed(start, id)))
    }

    /// When the Task was due.
    pub fn start(&self) -> Option<Timestamp> {
        self.0.split_once('.').and_then(|(_, timed)| time_of(timed))
    }

    /// The stored form. These strings sort in the order in which Tasks run.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn from_row(text: String) -> Self {
        Self(text)
    }
}

/// A lane in the index, without its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IndexLane<'a> {
    /// Not due yet; ordered by start.
    Waiting,
    /// Due; ordered by [`ReadyKey`].
    Ready(&'a QueueLane),
    /// In progress; ordered by the end of the lease.
    Running,
    /// Failed, with an unacknowledged event; ordered by the time of the failure.
    Unpublished,
    /// The companions of Tasks that may not wait for ever; ordered by the time at which they expire.
    Expiring,
}

impl IndexLane<'_> {
    pub(super) fn partition(&self, shard: u8) -> String {
        format!("{self}#{shard}")
    }
}

impl fmt::Display for IndexLane<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => f.write_str("waiting"),
            Self::Ready(QueueLane::Shared) => f.write_str("ready"),
            Self::Ready(QueueLane::Own(function)) => write!(f, "ready:{function}"),
            Self::Running => f.write_str("running"),
            Self::Unpublished => f.write_str("unpublished"),
            Self::Expiring => f.write_str("expiring"),
        }
    }
}

/// The position of a Task in a lane that is ordered by time.
pub(super) fn timed(time: Timestamp, id: ObjectId) -> String {
    format!("{}.{id}", time_key(time))
}

/// The prefix of [`timed`]: milliseconds in 15 digits.
pub(super) fn time_key(time: Timestamp) -> String {
    format!("{:015}", time.as_millis())
}

/// The time at the beginning of a [`timed`] key.
pub(super) fn time_of(key: &str) -> Option<Timestamp> {
    let millis = key.split('.').next()?.parse().ok()?;
    Timestamp::from_millis(millis).ok()
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn places()(
            priority in prop_oneof![-3_i64..=3, Priority::MIN.get()..=Priority::MAX.get()],
            start in prop_oneof![0_i64..3, 0..=Timestamp::LATEST.as_millis()],
            id_millis in prop_oneof![0_i64..3, 0..4_000_000_000_000_i64],
            chance: u64,
        ) -> (Priority, Timestamp, ObjectId) {
            let start = Timestamp::from_millis(start).unwrap();
            (Priority::new(priority).unwrap(), start, ObjectId::new(Timestamp::from_millis(id_millis).unwrap(), chance))
        }
    }

    proptest! {
        #[test]
        fn ready_keys_sort_in_claim_order(a in places(), b in places()) {
            let key = |(priority, start, id): (Priority, Timestamp, ObjectId)| ReadyKey::new(priority, start, id);
            let order = |(priority, start, id): (Priority, Timestamp, ObjectId)| (Reverse(priority), start, id);
            prop_assert_eq!(key(a).cmp(&key(b)), order(a).cmp(&order(b)));
        }

        #[test]
        fn timed_keys_sort_by_time_then_id_and_give_the_time_back(a in places(), b in places()) {
            prop_assert_eq!(timed(a.1, a.2).cmp(&timed(b.1, b.2)), (a.1, a.2).cmp(&(b.1, b.2)));
            prop_assert_eq!(time_of(&timed(a.1, a.2)), Some(a.1));
            prop_assert_eq!(ReadyKey::new(a.0, a.1, a.2).start(), Some(a.1));
        }
    }

    #[test]
    fn a_function_named_like_a_lane_does_not_reach_it() {
        let own = QueueLane::Own(FunctionName::parse("running").unwrap());
        assert_ne!(IndexLane::Ready(&own).partition(0), IndexLane::Running.partition(0));
    }
}
