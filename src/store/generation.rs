//! The generation of all Functions: a row that changes with each change of any of them.
//!
//! A dispatcher must know each Function as it is when it claims a Task. All Functions are in one partition, which many
//! dispatchers together would read more often than it answers. Instead, each of them reads the generation, of which every
//! partition of [`Generations::rows`] has a copy, and uses what it has read before while the generation is the same. A Function and
//! all copies change in one transaction, so there is no moment at which a copy is behind.
//!
//! A deployment with one shard has too few dispatchers for this to matter, and keeps none. A process of a version or a setting without
//! generations changes Functions without them, so nobody may rely on a generation for longer than a moment.

use aws_sdk_dynamodb::types::TransactWriteItem;

use super::{
    StoreError,
    calls::CallTokens,
    row::{NewRow, text},
    table::Table,
};

/// The most copies. Each answers 3,000 reads a second on AWS.
const MOST_COPIES: u8 = 16;

/// What the partitions of the copies begin with.
const COPY: &str = "generation:";
/// The attribute that changes.
const MARK: &str = "generation";

/// A state of all Functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation(Option<String>);

/// Where the generation is kept.
#[derive(Clone)]
pub(super) struct Generations {
    table: Table,
    calls: CallTokens,
    /// How many copies there are.
    copies: u8,
    /// The copy that this process reads.
    own: u8,
}

impl Generations {
    /// Copies for a deployment with so many shards. `chance` selects the one that this process reads.
    pub(super) fn new(table: Table, calls: CallTokens, shards: u8, chance: u8) -> Self {
        let copies = if shards > 1 { shards.min(MOST_COPIES) } else { 0 };
        Self { table, calls, copies, own: chance.checked_rem(copies).unwrap_or(0) }
    }

    /// The generation now. `None` if none is kept.
    pub(super) async fn now(&self) -> Result<Option<Generation>, StoreError> {
        if self.copies == 0 {
            return Ok(None);
        }
        let row = self.table.get("read the generation of the functions", &partition(self.own), MARK).await?;
        // Nothing has changed since the deployment keeps generations.
        let mark = row.map(|row| row.text(MARK).map(str::to_owned)).transpose()?;
        Ok(Some(Generation(mark)))
    }

    /// The parts of a transaction that begin a new generation. Empty if none is kept.
    pub(super) fn next(&self, action: &'static str) -> Result<Vec<TransactWriteItem>, StoreError> {
        let mark = self.calls.next();
        let copy = |number| {
            let mut row = NewRow::new(partition(number), MARK);
            row.set(MARK, text(&mark));
            self.table.to_put(action, row)
        };
        (0..self.copies).map(copy).collect()
    }
}

fn partition(copy: u8) -> String {
    format!("{COPY}{copy}")
}
