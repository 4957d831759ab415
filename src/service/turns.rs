//! Serializes deployments of one Function, and limits how long a change is retried while concurrent changes win.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tasklane_model::{Error, FunctionName, Result, Timestamp};
use tasklane_ports::Clock;
use tasklane_runtime::lock::Lock;
use tokio::sync::OwnedMutexGuard;

use super::Service;

/// How long a caller waits for their turn. Each change before theirs deploys, which takes seconds for large code.
const TURN_PATIENCE: Duration = Duration::from_secs(60);

/// How long a change is retried after concurrent changes: well below the 30 s after which a gateway gives up.
const CHANGE_PATIENCE: Duration = Duration::from_secs(10);

/// The pause before the first retry of a change; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The queues of deployments and removals by Function. Within one process they run one at a time, in the order of their
/// requests. A Function has an entry only while a change runs or waits.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queues: Lock<HashMap<FunctionName, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Debug)]
pub(super) struct Turn {
    // Dropped before the place in the queue, so that the place sees whether other changes are left.
    _turn: OwnedMutexGuard<()>,
    _place: Place,
}

/// The place of a waiting or current change in a queue.
#[derive(Debug)]
struct Place {
    turns: Arc<Turns>,
    function: FunctionName,
    queue: Option<Arc<tokio::sync::Mutex<()>>>,
}

impl Turns {
    /// Waits for the turn; 1502 when the changes before it take too long.
    pub(super) async fn take(self: &Arc<Self>, function: &FunctionName, clock: &dyn Clock) -> Result<Turn> {
        let queue = Arc::clone(self.lock().entry(function.clone()).or_default());
        let place = Place { turns: Arc::clone(self), function: function.clone(), queue: Some(Arc::clone(&queue)) };
        tokio::select! {
            biased;
            turn = queue.lock_owned() => Ok(Turn { _turn: turn, _place: place }),
            () = clock.sleep(TURN_PATIENCE) => Err(Error::conflicting_update()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<FunctionName, Arc<tokio::sync::Mutex<()>>>> {
        self.queues.lock()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = self.turns.lock();
        self.queue = None;
        if queues.get(&self.function).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.function);
        }
    }
}

/// How often a change was tried, and since when.
#[derive(Debug)]
pub(super) struct Tries {
    began: Timestamp,
    pause: Duration,
}

impl Service {
    /// Waits until no other change in this process deploys or removes the Function.
    pub(super) async fn turn_to_change(&self, function: &FunctionName) -> Result<Turn> {
        self.inner.turns.take(function, &*self.inner.ports.clock).await
    }

    pub(super) fn tries(&self) -> Tries {
        Tries { began: self.inner.ports.clock.now(), pause: FIRST_PAUSE }
    }

    /// A concurrent change won. Waits a moment, which differs between callers; 1502 once this has gone on for too long.
    pub(super) async fn again(&self, tries: &mut Tries) -> Result<()> {
        let waited = self.inner.ports.clock.now().since(tries.began);
        if waited + tries.pause > CHANGE_PATIENCE {
            return Err(Error::conflicting_update());
        }
        let [chance] = self.inner.ports.ids.secret::<1>();
        self.inner.ports.clock.sleep(tries.pause.mul_f64(0.5 + f64::from(chance) / 512.0)).await;
        tries.pause = (tries.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tasklane_ports::SystemClock;

    #[tokio::test]
    async fn turns_of_one_function_are_sequential_and_leave_nothing_behind() {
        let turns = Arc::new(Turns::default());
        let (a, b) = (FunctionName::parse("a").unwrap(), FunctionName::parse("b").unwrap());
        let first = turns.take(&a, &SystemClock).await.unwrap();
        let _other = turns.take(&b, &SystemClock).await.unwrap();
        let mut second = Box::pin(turns.take(&a, &SystemClock));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        let second = second.await.unwrap();
        let mut gone_away = Box::pin(turns.take(&a, &SystemClock));
        assert!(futures::poll!(&mut gone_away).is_pending());
        drop(second);
        drop(gone_away);
        assert_eq!(turns.lock().keys().collect::<Vec<_>>(), [&b]);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_turn_ends_after_some_time() {
        let turns = Arc::new(Turns::default());
        let name = FunctionName::parse("a").unwrap();
        let _first = turns.take(&name, &SystemClock).await.unwrap();
        let error = turns.take(&name, &SystemClock).await.unwrap_err();
        assert_eq!(error.kind(), tasklane_model::ErrorKind::ConflictingUpdate);
    }
}
