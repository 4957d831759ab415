//! A cache of Functions, which saves a read of the store for each Task and request.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tasklane_model::{Function, FunctionName, Json, Result as ModelResult, Timestamp};
use tasklane_ports::Clock;
use tasklane_runtime::{kept::Kept, lock::Lock};
use tasklane_store::{Generation, QueueLane, Store, StoreError};

use super::schemas::CompiledSchemas;

/// How old a record may be. Within one process a change is seen immediately ([`FunctionDirectory::forget`]); other
/// processes see it after this time, well within the 5 s after which a revoked permission must not work. Tasks read the
/// record again, and so do direct executions while their Task is being written.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// The most Functions in the cache, so that a caller who requests many names cannot fill the memory.
const MOST_REMEMBERED: usize = 10_000;

pub struct FunctionDirectory {
    store: Store,
    clock: Arc<dyn Clock>,
    remembered: Lock<Remembered>,
    schemas: CompiledSchemas,
    inspected: BTreeSet<FunctionName>,
}

/// A Function in the cache, as it was read.
#[derive(Clone)]
struct Entry {
    function: Arc<Function>,
    /// The generation of all Functions before it was read.
    generation: Option<Generation>,
}

/// All Functions at one moment.
pub(super) struct Present<'a> {
    directory: &'a FunctionDirectory,
    generation: Option<Generation>,
}

#[derive(Default)]
struct Remembered {
    functions: HashMap<FunctionName, Kept<Entry>>,
    /// Names without a Function. These are cached too, so that the response time does not reveal whether a Function
    /// exists.
    missing: HashMap<FunctionName, Kept<()>>,
    own_lanes: Option<Kept<Arc<[FunctionName]>>>,
    /// How often an entry was removed: a record that was read before the last removal may be older than the change.
    forgotten: u64,
}

impl FunctionDirectory {
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        let (remembered, schemas) = (Lock::default(), CompiledSchemas::default());
        Self { store, clock, remembered, schemas, inspected: BTreeSet::new() }
    }

    /// With these Functions under a debugger.
    #[must_use]
    pub fn inspecting(self, inspected: BTreeSet<FunctionName>) -> Self {
        Self { inspected, ..self }
    }

    /// The Function as it was at most two seconds ago, or `None` if there was none.
    pub async fn find(&self, name: &FunctionName) -> Result<Option<Arc<Function>>, StoreError> {
        let now = self.clock.now();
        let remembered = self.lock().remembered(name, now);
        match remembered {
            Some(function) => Ok(function),
            None => self.read(name).await,
        }
    }

    /// The current Function, read from the store.
    pub async fn read(&self, name: &FunctionName) -> Result<Option<Arc<Function>>, StoreError> {
        self.read_in(None, name).await
    }

    /// The Functions as they are now. If the deployment keeps generations, those that were read before and have not changed
    /// are not read again.
    pub(super) async fn present(&self) -> Result<Present<'_>, StoreError> {
        Ok(Present { directory: self, generation: self.store.functions.generation().await? })
    }

    /// The current Function, read from the store when this was the generation.
    async fn read_in(
        &self,
        generation: Option<Generation>,
        name: &FunctionName,
    ) -> Result<Option<Arc<Function>>, StoreError> {
        let now = self.clock.now();
        let forgotten = self.lock().forgotten;
        let is_inspected = self.inspected.contains(name);
        let found = self.store.functions.get(name).await?;
        let function = found.map(|found| Arc::new(Function { is_inspected, ..found.value }));
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
                let entry = Entry { function: Arc::clone(function), generation };
                remembered.functions.insert(name.clone(), Kept::new(entry, now));
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

    /// All lanes that due Tasks may be in, including those of deleted Functions, as they were at most two seconds ago.
    pub async fn lanes(&self) -> Result<Vec<QueueLane>, StoreError> {
        let now = self.clock.now();
        let remembered = self.lock().own_lanes.as_ref().and_then(|names| names.fresh(FRESH_FOR, now).cloned());
        match remembered {
            Some(names) => Ok(lanes_of(&names)),
            None => self.lanes_now().await,
        }
    }

    /// All lanes that due Tasks may be in now: a new Task may be the first one in its own lane.
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

    /// Removes a Function from the cache, because it was changed.
    pub fn forget(&self, name: &FunctionName) {
        let mut remembered = self.lock();
        remembered.functions.remove(name);
        remembered.missing.remove(name);
        remembered.own_lanes = None;
        remembered.forgotten += 1;
    }

    /// Checks data for a Function by its schema, if it has one; absent data counts as `null`. 15 if it does not fit.
    pub fn check_data(&self, function: &Function, data: Option<&Json>) -> ModelResult<()> {
        self.schemas.check(function, data)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock()
    }
}

impl Present<'_> {
    /// A Function, which was like this at some time after [`FunctionDirectory::present`] was called.
    pub(super) async fn read(&self, name: &FunctionName) -> Result<Option<Arc<Function>>, StoreError> {
        let now = self.directory.clock.now();
        let known = self.generation.as_ref().and_then(|generation| {
            let remembered = self.directory.lock();
            let known = remembered.functions.get(name)?.fresh(FRESH_FOR, now)?;
            (known.generation.as_ref() == Some(generation)).then(|| Arc::clone(&known.function))
        });
        match known {
            Some(function) => Ok(Some(function)),
            None => self.directory.read_in(self.generation.clone(), name).await,
        }
    }
}

impl Remembered {
    /// The cached entry for a name if it is still valid: the Function, or that there is none.
    fn remembered(&self, name: &FunctionName, now: Timestamp) -> Option<Option<Arc<Function>>> {
        let found = self.functions.get(name).and_then(|function| function.fresh(FRESH_FOR, now));
        let missing = || self.missing.get(name).and_then(|missing| missing.fresh(FRESH_FOR, now));
        found.map(|known| Some(Arc::clone(&known.function))).or_else(|| missing().map(|()| None))
    }
}

fn lanes_of(own: &[FunctionName]) -> Vec<QueueLane> {
    std::iter::once(QueueLane::Shared).chain(own.iter().cloned().map(QueueLane::Own)).collect()
}
