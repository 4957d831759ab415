//! Makes lists that have to read records take turns: one at a time for each caller.
//!
//! The filter determines how much work a list is, and the caller determines how many lists there are. So a list that
//! has to read records waits for the caller's other lists, but not for those of others.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use tasklane_model::{ApplicationId, Caller, Error, ErrorKind, Result, UserId};
use tasklane_rql::Query;
use tasklane_runtime::lock::Lock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Service;

/// The most lists of one caller, including the one in progress.
const MOST: usize = 100;
/// How long a list waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The lists in progress and waiting, by caller.
#[derive(Default)]
pub(super) struct Lists(Lock<HashMap<Asker, Queue>>);

/// Who asks, for limits that each caller has of their own.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    Nobody,
    Application(ApplicationId),
    User(UserId),
}

struct Queue {
    turn: Arc<Semaphore>,
    lists: usize,
}

/// The right to read the records of a list, until this is dropped.
pub(super) struct Turn<'a> {
    // Declared first, because it must be dropped before the place.
    _turn: OwnedSemaphorePermit,
    _place: Place<'a>,
}

/// A place in the queue of a caller's lists.
struct Place<'a> {
    lists: &'a Lists,
    asker: Asker,
}

impl Service {
    /// Waits for this list's turn; returns immediately if no record has to be read. 1505 when this caller has too many
    /// lists, or they take too long.
    pub(super) async fn turn_of(&self, caller: &Caller, query: &Query) -> Result<Option<Turn<'_>>> {
        if !query.looks_into_records() {
            return Ok(None);
        }
        tokio::select! {
            biased;
            turn = self.inner.lists.turn(caller) => turn.map(Some),
            () = self.inner.ports.clock.sleep(PATIENCE) => Err(too_many()),
        }
    }
}

impl Lists {
    async fn turn(&self, caller: &Caller) -> Result<Turn<'_>> {
        let (place, turn) = self.place(Asker::from(caller))?;
        let turn = turn.acquire_owned().await.map_err(Error::internal)?;
        Ok(Turn { _turn: turn, _place: place })
    }

    fn place(&self, asker: Asker) -> Result<(Place<'_>, Arc<Semaphore>)> {
        let mut queues = self.lock();
        let queue =
            queues.entry(asker.clone()).or_insert_with(|| Queue { turn: Arc::new(Semaphore::new(1)), lists: 0 });
        if queue.lists >= MOST {
            return Err(too_many());
        }
        queue.lists += 1;
        let turn = Arc::clone(&queue.turn);
        Ok((Place { lists: self, asker }, turn))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Asker, Queue>> {
        self.0.lock()
    }
}

impl From<&Caller> for Asker {
    fn from(caller: &Caller) -> Self {
        match caller {
            Caller::Nobody => Self::Nobody,
            Caller::Application(application) => Self::Application(application.id.clone()),
            Caller::Roleless(user) | Caller::User(user) => Self::User(user.user_id.clone()),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queues = self.lists.lock();
        if let Some(queue) = queues.get_mut(&self.asker) {
            queue.lists -= 1;
            if queue.lists == 0 {
                queues.remove(&self.asker);
            }
        }
    }
}

fn too_many() -> Error {
    let message = "Too many of your lists with a filter or a sort are in progress. Request fewer at once.";
    Error::new(ErrorKind::TooManyRequests, message)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use tasklane_model::{Application, Identity, ObjectId, Permissions};

    fn user(id: &str) -> Caller {
        let user_id = UserId::parse(id).unwrap();
        Caller::User(Identity { user_id, application_id: None, permissions: Permissions::default() }.into())
    }

    #[test]
    fn a_caller_waits_only_for_their_own_lists() {
        let lists = Lists::default();
        let (ada, bob) = (user("ada"), user("bob"));
        let first = lists.turn(&ada).now_or_never().unwrap().unwrap();
        let mut second = Box::pin(lists.turn(&ada));
        assert!(second.as_mut().now_or_never().is_none());
        let others = [
            bob,
            Caller::Nobody,
            Caller::Application(Application { id: ApplicationId::parse("ada").unwrap(), credential: ObjectId::LAST }),
        ];
        for other in &others {
            assert!(lists.turn(other).now_or_never().unwrap().is_ok());
        }
        drop(first);
        let second = second.now_or_never().unwrap().unwrap();
        drop(second);
        assert!(lists.lock().is_empty());
    }

    #[test]
    fn waiting_lists_are_limited_and_abandoned_ones_free_their_place() {
        let lists = Lists::default();
        let ada = user("ada");
        let mut waiting: Vec<_> = (0..MOST).map(|_| Box::pin(lists.turn(&ada))).collect();
        let first = waiting[0].as_mut().now_or_never().unwrap().unwrap();
        assert!(waiting[1..].iter_mut().all(|turn| turn.as_mut().now_or_never().is_none()));
        let refused = lists.turn(&ada).now_or_never().unwrap().err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::TooManyRequests);
        waiting.truncate(2);
        assert!(lists.turn(&ada).now_or_never().is_none());
        drop(first);
        assert!(waiting[1].as_mut().now_or_never().unwrap().is_ok());
        drop(waiting);
        assert!(lists.lock().is_empty());
    }
}
