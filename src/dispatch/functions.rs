//! Functions as the hot paths see them: records a moment old, without a read of the store each time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tasklane_model::{Function, FunctionName, Timestamp};
use tasklane_ports::Clock;
use tasklane_runtime::kept::Kept;
use tasklane_store::{QueueLane, Store, StoreError};

/// How old a record may be. Within one process a change is seen at once ([`FunctionDirectory::forget`]); across
/// processes after this long, well within the 5 s that a revoked permission may linger. Tasks read the
/// record again, and direct executions too, while their Task is being written.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// At most this many Functions are remembered, so that a caller who asks for many names cannot fill the memory.
const MOST_REMEMBERED: usize = 10_000;

/// Finds Functions by name.
pub struct FunctionDirectory {
    store: Store,
    clock: Arc<dyn Clock>,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    functions: HashMap<FunctionName, Kept<Arc<Function>>>,
    /// Names without a Function: the time of an answer must not tell a caller whether there is one.
    missing: HashMap<FunctionName, Kept<()>>,
    own_lanes: Option<Kept<Arc<[FunctionName]>>>,
    /// How often something was forgotten: what was read before the last time may be older than the change.
    forgotten: u64,
}

impl FunctionDirectory {
    /// Reads from `store`, by `clock`.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, remembered: Mutex::default() }
    }

    /// The Function as it was at most two seconds ago, or that there was none.
    pub async fn find(&self, name: &FunctionName) -> Result<Option<Arc<Function>>, StoreError> {
        let now = self.clock.now();
        let remembered = self.lock().remembered(name, now);
        match remembered {
            Some(function) => Ok(function),
            None => self.read(name).await,
        }
    }

    /// The Function as it is now.
    pub async fn read(&self, name: &FunctionName) -> Result<Option<Arc<Function>>, StoreError> {
        let now = self.clock.now();
        let forgotten = self.lock().forgotten;
        let function = self.store.functions.get(name).await?.map(|found| Arc::new(found.value));
        let mut remembered = self.lock();
        if remembered.forgotten != forgotten {
            return Ok(function);
        }
        match &function {
            Some(function) => {
                remembered.missing.remove(name);
                if remembered.functions.len() >= MOST_REMEMBERED {
                    remembered.functions.clear();
                }
                remembered.functions.insert(name.clone(), Kept::new(Arc::clone(function), now));
            }
            None => {
                remembered.functions.remove(name);
                if remembered.missing.len() >= MOST_REMEMBERED {
                    remembered.missing.clear();
                }
                remembered.missing.insert(name.clone(), Kept::new((), now));
            }
        }
        Ok(function)
    }

    /// Every lane that due Tasks may be in, including those of deleted Functions, as of at most two seconds ago.
    pub async fn lanes(&self) -> Result<Vec<QueueLane>, StoreError> {
        let now = self.clock.now();
        let remembered = self.lock().own_lanes.as_ref().and_then(|names| names.fresh(FRESH_FOR, now).cloned());
        match remembered {
            Some(names) => Ok(lanes_of(&names)),
            None => self.lanes_now().await,
        }
    }

    /// Every lane that due Tasks may be in, as of now: a Task that was just put in an own lane may be the first one there.
    pub async fn lanes_now(&self) -> Result<Vec<QueueLane>, StoreError> {
        let now = self.clock.now();
        let forgotten = self.lock().forgotten;
        let names: Arc<[FunctionName]> = self.store.tasks.own_lanes().await?.into();
        let mut remembered = self.lock();
        if remembered.forgotten == forgotten {
            remembered.own_lanes = Some(Kept::new(Arc::clone(&names), now));
        }
        Ok(lanes_of(&names))
    }

    /// Forgets what is remembered of a Function: it was just changed.
    pub fn forget(&self, name: &FunctionName) {
        let mut remembered = self.lock();
        remembered.functions.remove(name);
        remembered.missing.remove(name);
        remembered.own_lanes = None;
        remembered.forgotten += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    /// What is known of a name and still counts: the Function, or that there is none.
    fn remembered(&self, name: &FunctionName, now: Timestamp) -> Option<Option<Arc<Function>>> {
        let found = self.functions.get(name).and_then(|function| function.fresh(FRESH_FOR, now));
        let missing = || self.missing.get(name).and_then(|missing| missing.fresh(FRESH_FOR, now));
        found.map(|function| Some(Arc::clone(function))).or_else(|| missing().map(|()| None))
    }
}

fn lanes_of(own: &[FunctionName]) -> Vec<QueueLane> {
    std::iter::once(QueueLane::Shared).chain(own.iter().cloned().map(QueueLane::Own)).collect()
}
