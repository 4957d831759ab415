//! Records which Functions have Tasks in a ready lane of their own.
//!
//! A look at the queue reads every lane in this register, so a lane goes when nothing has entered it for a while and it is
//! empty. A process writes down the time before its first Task enters a lane, and again after [`LaneMemory::renewed_after`].
//! The ticker removes a lane that was written down [`LaneMemory::kept_for`] ago and that is empty. By then, every Task that
//! entered it is visible, and a process that is about to add another one writes the lane down again first. The removal has
//! the written time as its condition, so it fails in that case.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tasklane_model::{FunctionName, Lane, Timestamp};
use tasklane_ports::Clock;
use tasklane_runtime::lock::Lock;

use super::{
    StoreError,
    change::{Change, Condition},
    row::{NewRow, Row, time},
    table::{Table, Written},
};

const LIST: &str = "own-lanes";
/// When a process last wrote down that a Task may enter the lane. Older versions wrote no time.
const USED: &str = "used";

/// How long lanes are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneMemory {
    /// After what time a process writes a lane down again before a Task enters it.
    pub renewed_after: Duration,
    /// After what time an empty lane is forgotten. The difference to `renewed_after` must be longer than any call of a
    /// process takes, clocks differ, and an index lags.
    pub kept_for: Duration,
}

impl Default for LaneMemory {
    fn default() -> Self {
        Self { renewed_after: Duration::from_secs(10 * 60), kept_for: Duration::from_secs(40 * 60) }
    }
}

/// The register of own lanes. A lane is recorded before its first Task enters it, so that a reader of all lanes misses
/// none, even if the Function was deleted.
#[derive(Clone)]
pub(super) struct OwnLanes {
    control: Table,
    memory: LaneMemory,
    clock: Arc<dyn Clock>,
    /// When each lane was written down, as far as this process knows.
    known: Arc<Lock<BTreeMap<FunctionName, Timestamp>>>,
}

/// A lane that may be forgotten if it is empty.
pub(super) struct IdleLane {
    pub(super) function: FunctionName,
    used: Timestamp,
}

impl OwnLanes {
    pub(super) fn new(control: &Table, memory: LaneMemory, clock: &Arc<dyn Clock>) -> Self {
        Self { control: control.clone(), memory, clock: Arc::clone(clock), known: Arc::default() }
    }

    /// Records a lane. To be called before a Task enters it.
    pub(super) async fn register(&self, queue: Lane, function: &FunctionName) -> Result<(), StoreError> {
        let now = self.clock.now();
        let is_fresh = |used: &Timestamp| now.since(*used) < self.memory.renewed_after;
        match queue {
            Lane::Shared => return Ok(()),
            Lane::Own if self.known.lock().get(function).is_some_and(is_fresh) => return Ok(()),
            Lane::Own => {}
        }
        const ACTION: &str = "write down the lane";
        let row = self.control.get(ACTION, LIST, function.as_str()).await?;
        let used = match row.as_ref().map(used).transpose()?.flatten().filter(is_fresh) {
            Some(used) => used,
            None => {
                let mut row = NewRow::new(LIST, function);
                row.set(USED, time(now));
                match self.control.put(ACTION, row, Condition::new("")).await? {
                    Written::Done(_) | Written::Refused(_) => now,
                }
            }
        };
        self.known.lock().insert(function.clone(), used);
        Ok(())
    }

    pub(super) async fn all(&self) -> Result<Vec<FunctionName>, StoreError> {
        self.rows().await?.iter().map(function).collect()
    }

    /// The lanes that nothing has entered for a while. Lanes without a time get one.
    pub(super) async fn idle(&self) -> Result<Vec<IdleLane>, StoreError> {
        let (now, mut idle) = (self.clock.now(), Vec::new());
        for row in self.rows().await? {
            let function = function(&row)?;
            match used(&row)? {
                Some(used) if now.since(used) >= self.memory.kept_for => idle.push(IdleLane { function, used }),
                Some(_) => {}
                None => {
                    let since = Condition::new("attribute_exists(#pk) AND attribute_not_exists(#used)");
                    let change = Change::new().set(USED, time(now)).when(since);
                    self.control.update("note when the lane was seen", LIST, function.as_str(), change).await?;
                }
            }
        }
        Ok(idle)
    }

    /// Forgets a lane that is empty, unless a Task may have entered it since.
    pub(super) async fn forget(&self, lane: &IdleLane) -> Result<(), StoreError> {
        let unchanged = Condition::new("#used = :used").with("used", time(lane.used));
        self.control.delete_when("forget the lane", LIST, lane.function.as_str(), unchanged).await.map(|_| ())
    }

    async fn rows(&self) -> Result<Vec<Row>, StoreError> {
        self.control.all_of("list the lanes", LIST).await
    }
}

fn used(row: &Row) -> Result<Option<Timestamp>, StoreError> {
    row.optional_time(USED)
}

fn function(row: &Row) -> Result<FunctionName, StoreError> {
    FunctionName::parse(row.text("sk")?).map_err(|error| row.corrupt(error))
}
