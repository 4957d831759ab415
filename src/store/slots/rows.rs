//! The rows of the ledger: the main row of a scope, and the row of each part.

use serde::{Deserialize, Serialize};
use tasklane_model::Timestamp;

use super::{
    super::{
        RunnerId, StoreError,
        holders::{self, ByHolder, HolderRow, Holders},
        row::{NewRow, Row, json},
    },
    ACTION, SlotPart,
};

/// What the main row's holders that are parts begin with. No process has such a name.
const PART: char = '#';

/// What one holder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Held {
    pub(super) slots: u16,
    pub(super) until: Timestamp,
}

/// The slots that the main row leases to a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Block {
    pub(super) slots: u16,
    pub(super) until: Timestamp,
    /// The limit under which it was leased, or what the main row leased in total, if that was more. To a holder with a
    /// lower limit, its slots may be those that the limit no longer allows.
    pub(super) ceiling: u32,
}

impl Block {
    const NONE: Self = Self { slots: 0, until: Timestamp::EPOCH, ceiling: 0 };

    /// Whether slots under this limit can be leased from it until then.
    pub(super) fn covers(&self, limit: u16, expires: Timestamp) -> bool {
        self.ceiling <= u32::from(limit) && self.until >= expires
    }
}

/// The row of a part: its block, and who holds how many slots of it. No lease outlasts the block's.
#[derive(Clone)]
pub(in super::super) struct PartRow {
    pub(super) block: Block,
    pub(super) holders: ByHolder<Held>,
    pub(super) revision: u64,
}

impl PartRow {
    fn of_nobody() -> Self {
        Self { block: Block::NONE, holders: ByHolder::new(), revision: 0 }
    }

    pub(in super::super) fn read(row: &Row) -> Result<Self, StoreError> {
        let HolderRow { holders, revision } = holders::read(row)?;
        Ok(Self { block: row.json("block")?, holders, revision })
    }

    /// The row of this part among those that were read, without what has expired. A part that nobody has used has none.
    pub(super) fn among(rows: &[Row], part: &SlotPart, now: Timestamp) -> Result<Self, StoreError> {
        let key = part.key();
        let found = rows.iter().find(|row| row.text("pk").is_ok_and(|pk| pk == key));
        Self::at(found, now)
    }

    pub(super) fn at(row: Option<&Row>, now: Timestamp) -> Result<Self, StoreError> {
        let mut row = row.map_or_else(|| Ok(Self::of_nobody()), Self::read)?;
        expire(&mut row.holders, now);
        if row.block.until <= now {
            row.block = Block::NONE;
        }
        Ok(row)
    }

    /// How many of its slots are held.
    pub(super) fn held(&self) -> u16 {
        saturating(sum(&self.holders))
    }

    /// What replaces the row, and the revision that it replaces.
    pub(super) fn into_row(self, part: &SlotPart) -> (NewRow, u64) {
        let mut row = holders::new_row(&part.key(), &self.holders, self.revision);
        row.set("block", json(&self.block));
        (row, self.revision)
    }
}

/// The main row of a scope. Its holders are processes and parts.
pub(super) struct MainRow {
    pub(super) holders: ByHolder<Held>,
    pub(super) revision: u64,
}

impl MainRow {
    /// Reads it, without what has expired.
    pub(super) async fn read(rows: &Holders, main: &SlotPart, now: Timestamp) -> Result<Self, StoreError> {
        let HolderRow { mut holders, revision } = rows.read(ACTION, &main.key()).await?;
        expire(&mut holders, now);
        Ok(Self { holders, revision })
    }

    /// The parts that have a block, and its slots.
    pub(super) fn blocks(&self) -> Vec<(u16, u16)> {
        blocks(&self.holders).collect()
    }

    /// How many slots all others than this part hold.
    pub(super) fn beside(&self, part: u16) -> u32 {
        sum(&self.holders) - slots_of(&self.holders, &block_name(part))
    }

    /// Sets what a part holds.
    pub(super) fn set_block(&mut self, part: u16, slots: u16, until: Timestamp) {
        set(&mut self.holders, &block_name(part), slots, until);
    }

    /// Changes the slots of a part, but not the end of its lease.
    pub(super) fn shrink_block(&mut self, part: u16, slots: u16) {
        if let Some(held) = self.holders.get(&block_name(part)).copied() {
            self.set_block(part, slots, held.until);
        }
    }

    pub(super) fn into_row(self, main: &SlotPart) -> (NewRow, u64) {
        (holders::new_row(&main.key(), &self.holders, self.revision), self.revision)
    }
}

fn block_name(part: u16) -> String {
    format!("{PART}{part}")
}

/// The parts among the holders of a main row, and the slots of their blocks.
pub(super) fn blocks(holders: &ByHolder<Held>) -> impl Iterator<Item = (u16, u16)> {
    holders.iter().filter_map(|(name, held)| Some((name.strip_prefix(PART)?.parse().ok()?, held.slots)))
}

/// Removes the leases that have ended.
pub(super) fn expire(holders: &mut ByHolder<Held>, now: Timestamp) {
    holders.retain(|_, held| held.until > now);
}

/// How many slots all holders have.
pub(super) fn sum(holders: &ByHolder<Held>) -> u32 {
    holders.values().map(|held| u32::from(held.slots)).sum()
}

pub(super) fn slots_of(holders: &ByHolder<Held>, name: &str) -> u32 {
    holders.get(name).map_or(0, |held| u32::from(held.slots))
}

/// How many slots all others have.
pub(super) fn others(holders: &ByHolder<Held>, holder: &RunnerId) -> u32 {
    sum(holders) - slots_of(holders, holder.as_str())
}

/// Sets what a holder has.
pub(super) fn set(holders: &mut ByHolder<Held>, name: &str, slots: u16, until: Timestamp) {
    match slots {
        0 => holders.remove(name),
        _ => holders.insert(name.to_owned(), Held { slots, until }),
    };
}

pub(super) fn saturating(slots: u32) -> u16 {
    u16::try_from(slots).unwrap_or(u16::MAX)
}
