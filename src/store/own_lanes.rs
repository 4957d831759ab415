//! Records which Functions have, or had, their own ready lane.

use std::{collections::BTreeSet, sync::Arc};

use tasklane_model::{FunctionName, Lane};
use tasklane_runtime::lock::Lock;

use super::{
    StoreError,
    change::Condition,
    row::NewRow,
    table::{Table, Written},
};

const LIST: &str = "own-lanes";

/// The register of own lanes. A lane is recorded before its first Task enters it, so that a reader of all lanes misses
/// none, even if the Function was deleted.
#[derive(Clone)]
pub(super) struct OwnLanes {
    control: Table,
    known: Arc<Lock<BTreeSet<FunctionName>>>,
}

impl OwnLanes {
    pub(super) fn new(control: &Table) -> Self {
        Self { control: control.clone(), known: Arc::default() }
    }

    /// Records a lane. To be called before a Task enters it.
    pub(super) async fn register(&self, queue: Lane, function: &FunctionName) -> Result<(), StoreError> {
        match queue {
            Lane::Shared => return Ok(()),
            Lane::Own if self.known.lock().contains(function) => return Ok(()),
            Lane::Own => {}
        }
        const ACTION: &str = "write down the lane";
        if self.control.get(ACTION, LIST, function.as_str()).await?.is_none() {
            match self.control.put(ACTION, NewRow::new(LIST, function), Condition::new("")).await? {
                Written::Done(_) | Written::Refused(_) => {}
            }
        }
        self.known.lock().insert(function.clone());
        Ok(())
    }

    pub(super) async fn all(&self) -> Result<Vec<FunctionName>, StoreError> {
        let rows = self.control.all_of("list the lanes", LIST).await?;
        rows.iter().map(|row| FunctionName::parse(row.text("sk")?).map_err(|error| row.corrupt(error))).collect()
    }
}
