//! The lanes: which part of its life an unfinished Task is in, and its position there.
//!
//! A lane is one partition (per shard) of the sparse index `lane`; a finished row is in none. Within a lane, rows are
//! ordered by a string of fixed width that sorts like the values in it.

use std::fmt;

use tasklane_model::{FunctionName, Lane, ObjectId, Priority, Timestamp};

use super::GateId;

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

    /// The position of the same Task if it was due at this time, and not before its own: another process with a slow clock may
    /// ask.
    #[must_use]
    pub fn at(&self, time: Timestamp, id: ObjectId) -> Self {
        let time = self.start().map_or(time, |start| time.max(start));
        let priority = self.0.split_once('.').map_or("", |(priority, _)| priority);
        Self(format!("{priority}.{}", timed(time, id)))
    }

    /// When the Task was due.
    pub fn start(&self) -> Option<Timestamp> {
        self.0.split_once('.').and_then(|(_, timed)| time_of(timed))
    }

    /// The stored form. These strings sort in the order in which Tasks run.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where in its lane a due Task is. Only the Tasks of Functions with a flow are anywhere but in the queue.
///
/// The three parts of a lane are one after the other in the index, so whatever reads the whole lane finds all of them, and
/// without a flow they are one queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Its turn has come: its key is the one of the moment at which it was admitted.
    Admitted,
    /// In the queue.
    Queued,
    /// Behind the gate of its flow key.
    Held(GateId),
}

/// What the keys of admitted Tasks begin with. It sorts before all digits.
const ADMITTED: char = '!';
/// What the keys of held Tasks begin with. It sorts after all digits.
const HELD: char = '~';

impl Place {
    /// The key in the index of a Task in this place.
    pub(super) fn lane_key(&self, key: &ReadyKey) -> String {
        match self {
            Self::Admitted => format!("{ADMITTED}{}", key.as_str()),
            Self::Queued => key.as_str().to_owned(),
            Self::Held(gate) => format!("{}{}", Self::held_by(gate), key.as_str()),
        }
    }

    /// The place and the key that a key in the index stands for.
    pub(super) fn of(lane_key: &str) -> (Self, ReadyKey) {
        let (place, key) = match lane_key.strip_prefix(ADMITTED) {
            Some(key) => (Self::Admitted, key),
            None => match lane_key.strip_prefix(HELD).and_then(|held| held.split_once('.')) {
                Some((gate, key)) => (Self::Held(GateId::from_row(gate)), key),
                None => (Self::Queued, lane_key),
            },
        };
        (place, ReadyKey(key.to_owned()))
    }

    /// What the keys of all Tasks behind this gate begin with.
    pub(super) fn held_by(gate: &GateId) -> String {
        format!("{HELD}{gate}.")
    }

    /// What the keys of all held Tasks begin with. They come after all others.
    pub(super) const FIRST_HELD: &'static str = "~";

    /// The first key and the first one after those of the Tasks in the queue.
    pub(super) const QUEUED: (&'static str, &'static str) = ("0", ":");
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
    /// Ended, with events that were not acknowledged; ordered by the time of the end.
    Unpublished,
    /// The companions of Tasks that may not wait for ever; ordered by the time at which they expire.
    Expiring,
    /// The gates of flow keys; ordered by the time at which somebody must look at them.
    Gates,
}

impl IndexLane<'_> {
    pub(super) fn partition(&self, shard: u8) -> String {
        format!("{self}#{shard}")
    }

    /// Whether this is a partition of [`IndexLane::Unpublished`].
    pub(super) fn is_unpublished(partition: &str) -> bool {
        partition.split_once('#').is_some_and(|(lane, _)| lane == "unpublished")
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
            Self::Gates => f.write_str("gates"),
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
    use tasklane_model::FlowKey;

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
            prop_assert_eq!(ReadyKey::new(a.0, a.1, a.2).at(b.1, a.2), ReadyKey::new(a.0, b.1.max(a.1), a.2));
        }
    }

    proptest! {
        #[test]
        fn admitted_tasks_come_before_the_queue_and_held_ones_after_it(a in places(), b in places(), c in places()) {
            let key = |(priority, start, id): (Priority, Timestamp, ObjectId)| ReadyKey::new(priority, start, id);
            let gate = GateId::of(&FlowKey::parse("k").unwrap());
            let [admitted, queued, held] =
                [(Place::Admitted, a), (Place::Queued, b), (Place::Held(gate), c)].map(|(place, at)| (place, key(at)));
            let keys = [&admitted, &queued, &held].map(|(place, key)| place.lane_key(key));
            prop_assert!(keys.is_sorted());
            prop_assert!(keys[0].as_str() < Place::QUEUED.0 && keys[1].as_str() >= Place::QUEUED.0);
            prop_assert!(keys[1].as_str() < Place::QUEUED.1 && keys[2].as_str() >= Place::QUEUED.1);
            for (there, lane_key) in [admitted, queued, held].into_iter().zip(keys) {
                prop_assert_eq!(Place::of(&lane_key), there);
            }
        }
    }

    #[test]
    fn a_function_named_like_a_lane_does_not_reach_it() {
        let own = QueueLane::Own(FunctionName::parse("running").unwrap());
        assert_ne!(IndexLane::Ready(&own).partition(0), IndexLane::Running.partition(0));
    }
}
