//! Remembers which Tasks have left the queue.
//!
//! The index that the queue is read from lags behind the rows, so it goes on showing Tasks that this or another dispatcher
//! has claimed. Each attempt to claim such a Task would need a slot, and would cost a write that is refused.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tasklane_model::{ObjectId, Timestamp};
use tasklane_ports::Clock;
use tasklane_runtime::lock::Lock;
use tasklane_store::{Candidate, Place, QueueLane, ReadyKey};

/// How long a Task is remembered. An index rarely lags more than this; if it does, the claim is refused.
const REMEMBERED: Duration = Duration::from_secs(2);

/// How long after a lost claim a dispatcher reads the rows of what it is about to claim.
const WARY: Duration = Duration::from_secs(2);

/// The Tasks that have left their lanes a moment ago.
pub(super) struct Taken {
    clock: Arc<dyn Clock>,
    /// With the place that each one left, because it may be in another one now.
    tasks: Lock<HashMap<ObjectId, Left>>,
    /// When other dispatchers last took much of what was to be claimed.
    lost: Lock<Option<Timestamp>>,
}

struct Left {
    lane: QueueLane,
    place: Place,
    key: ReadyKey,
    since: Timestamp,
}

impl Taken {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, tasks: Lock::default(), lost: Lock::default() }
    }

    /// Notes that this Task is no longer in its place.
    pub(super) fn add(&self, candidate: &Candidate) {
        let now = self.clock.now();
        let mut tasks = self.tasks.lock();
        tasks.retain(|_, left| is_recent(left.since, now));
        let (lane, place, key) = (candidate.lane.clone(), candidate.place.clone(), candidate.key.clone());
        let left = Left { lane, place, key, since: now };
        tasks.insert(candidate.id, left);
    }

    /// Whether this Task is known to have left its place.
    pub(super) fn contains(&self, candidate: &Candidate) -> bool {
        let now = self.clock.now();
        let tasks = self.tasks.lock();
        tasks.get(&candidate.id).is_some_and(|left| {
            (&left.lane, &left.place, &left.key) == (&candidate.lane, &candidate.place, &candidate.key)
                && is_recent(left.since, now)
        })
    }

    /// Notes how many claims of one look others had made before.
    pub(super) fn note_lost(&self, lost: usize, claims: usize) {
        // One lost claim in a while costs less than reading all rows.
        if lost * 4 > claims {
            *self.lost.lock() = Some(self.clock.now());
        }
    }

    /// Whether others take so much that it pays to read the rows before the claims: a read costs a fifth of a claim that is
    /// refused, and burdens no partition of the queue.
    pub(super) fn is_wary(&self) -> bool {
        let now = self.clock.now();
        self.lost.lock().is_some_and(|since| since <= now && now.since(since) < WARY)
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.lock().len()
    }
}

/// Whatever is noted in the future is not: the clock was set back.
fn is_recent(since: Timestamp, now: Timestamp) -> bool {
    since <= now && now.since(since) < REMEMBERED
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tasklane_model::{FunctionName, Priority};
    use tasklane_ports::PortFuture;

    use super::*;

    struct Hand(Mutex<Timestamp>);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }

        fn sleep<'a>(&'a self, _: Duration) -> PortFuture<'a, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    #[test]
    fn a_task_is_forgotten_after_a_moment_and_is_known_only_in_the_place_that_it_left() {
        let clock = Arc::new(Hand(Mutex::new(Timestamp::EPOCH)));
        let taken = Taken::new(clock.clone());
        let (id, function) = (ObjectId::new(Timestamp::EPOCH, 1), FunctionName::parse("f").unwrap());
        let key = ReadyKey::new(Priority::new(0).unwrap(), Timestamp::EPOCH, id);
        let shared = Candidate { id, function: function.clone(), lane: QueueLane::Shared, place: Place::Queued, key };
        let own = Candidate { lane: QueueLane::Own(function), ..shared.clone() };
        let raised = ReadyKey::new(Priority::new(1).unwrap(), Timestamp::EPOCH, id);
        let raised = Candidate { key: raised, ..shared.clone() };
        taken.add(&shared);
        assert!(taken.contains(&shared) && !taken.contains(&own) && !taken.contains(&raised));
        *clock.0.lock().unwrap() = Timestamp::EPOCH.saturating_add(REMEMBERED);
        assert!(!taken.contains(&shared));
        taken.add(&own);
        assert_eq!(taken.len(), 1);
    }
}
