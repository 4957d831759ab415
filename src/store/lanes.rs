//! The lanes: which part of its life an unfinished Task is in, and its place there.
//!
//! A lane is one partition of the sparse index `lane` (times the shards); a row that is in none of them is finished.
//! Within a lane rows are ordered by a string of fixed width that sorts like the values that it is made of.

use std::fmt;

use tasklane_model::{FunctionName, Lane, ObjectId, Priority, Timestamp};

/// Where due Tasks wait for their turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueLane {
    /// With those of every other Function.
    Shared,
    /// Apart: a Function that may be held back.
    Own(FunctionName),
}

impl QueueLane {
    /// Where the due Tasks of this Function wait.
    pub fn of(queue: Lane, function: &FunctionName) -> Self {
        match queue {
            Lane::Shared => Self::Shared,
            Lane::Own => Self::Own(function.clone()),
        }
    }
}

/// The place of a due Task in its lane. The smallest runs first: the highest priority, then the earliest start, then
/// the earliest id (contract §4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadyKey(String);

impl ReadyKey {
    /// The place of a Task.
    pub fn new(priority: Priority, start: Timestamp, id: ObjectId) -> Self {
        // Highest first, so counted down from the top; the range is twice ±(2^53 − 1), 17 digits.
        let inverted = Priority::MAX.get() - priority.get();
        Self(format!("{inverted:017}.{}", timed(start, id)))
    }

    /// When the Task was due.
    pub fn start(&self) -> Option<Timestamp> {
        self.0.split_once('.').and_then(|(_, timed)| time_of(timed))
    }

    /// As it is in a row: strings sort as Tasks run.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn from_row(text: String) -> Self {
        Self(text)
    }
}

/// A lane as the index names it, without its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IndexLane<'a> {
    /// Not due yet, by start.
    Waiting,
    /// Due, by [`ReadyKey`].
    Ready(&'a QueueLane),
    /// In progress, by the end of the lease.
    Running,
    /// Failed, and the event of it not acknowledged yet, by the time of the failure.
    Unpublished,
}

impl IndexLane<'_> {
    /// The partition of the index.
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
        }
    }
}

/// The place of a Task in a lane that is ordered by time.
pub(super) fn timed(time: Timestamp, id: ObjectId) -> String {
    format!("{}.{id}", time_key(time))
}

/// What [`timed`] begins with: 15 digits of milliseconds.
pub(super) fn time_key(time: Timestamp) -> String {
    format!("{:015}", time.as_millis())
}

/// The time that [`timed`] began with.
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
        fn ready_keys_sort_as_the_claim_order_says(a in places(), b in places()) {
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
