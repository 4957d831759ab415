//! Slots: what limits how many Tasks run at once, without a counter per Task.
//!
//! Each scope has a main row that names its holders, how many slots each holds, and until when. A row is written as a
//! whole, and by one process at a time. So if the limit is high, the main row leases its slots in blocks to *parts*, each
//! of which leases them from a row of its own. A part is a holder like any other to the main row, so a process that
//! knows nothing of parts never exceeds the limit together with them.
//!
//! - A block changes in one transaction of the main row and the part's row. So the part never leases slots that the main
//!   row does not count.
//! - A lease from a block that has a free slot involves only the part's row. It must not exceed a limit that was lowered
//!   since the block was leased: the block has a *ceiling*, and a holder with a lower limit asks the main row first.
//! - A block may be larger than the limit allows. A process that is refused a slot *reclaims* the idle slots of such
//!   blocks: it returns them to the main row.

mod division;
mod rows;

use std::{collections::BTreeSet, fmt, ops::RangeInclusive, time::Duration};

use tasklane_model::{FunctionName, Timestamp};

use super::{
    RunnerId, StoreError,
    holders::{ByHolder, Holders},
};
pub use division::Division;
use rows::{Block, MainRow, blocks, expire, others, saturating, set, sum};
pub(super) use rows::{Held, PartRow};

const ACTION: &str = "lease slots";

/// How much longer than the lease that needs it a block is leased: how seldom a busy part writes the main row.
const BLOCK_SPARE: Duration = Duration::from_secs(120);

/// Who holds how many slots of each scope.
#[derive(Clone)]
pub struct SlotLedger {
    pub(super) rows: Holders,
    pub(super) division: Division,
}

/// What a limit is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotScope {
    /// All queued Tasks of the deployment that are in progress.
    Tasks,
    /// All direct executions of the deployment that are in progress.
    Direct,
    /// The runs of one Function, queued and direct ones.
    Function(FunctionName),
}

impl fmt::Display for SlotScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tasks => f.write_str("tasks"),
            Self::Direct => f.write_str("direct"),
            Self::Function(name) => write!(f, "function:{name}"),
        }
    }
}

/// A row from which slots of a scope are leased.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotPart {
    scope: SlotScope,
    /// 0 is the main row.
    number: u16,
}

impl SlotPart {
    /// The main row of a scope.
    pub fn main(scope: SlotScope) -> Self {
        Self { scope, number: 0 }
    }

    pub fn scope(&self) -> &SlotScope {
        &self.scope
    }

    /// Its position among the parts of its scope, from 0 on.
    pub fn index(&self) -> u16 {
        self.number.saturating_sub(1)
    }

    fn key(&self) -> String {
        match self.number {
            0 => format!("slots:{}", self.scope),
            number => format!("slots:{}#{number}", self.scope),
        }
    }
}

/// What came of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leased {
    /// What the holder holds now.
    pub slots: u16,
    /// Whether no slot of this part was free before.
    pub was_full: bool,
    /// What all holders of this part hold now.
    pub held: u32,
    /// How many slots this part has.
    pub of: u16,
}

/// A holder's request.
struct Ask<'a> {
    part: &'a SlotPart,
    holder: &'a RunnerId,
    wanted: RangeInclusive<u16>,
    limit: u16,
    expires: Timestamp,
    now: Timestamp,
}

impl SlotLedger {
    /// How many parts a scope with this limit has; 0: its slots are leased from its main row.
    pub fn parts(&self, limit: u16) -> u16 {
        self.division.parts(limit)
    }

    /// A part of this scope, by its index, which may be any number. The main row if the scope is not divided.
    pub fn part(&self, scope: &SlotScope, limit: u16, index: u16) -> SlotPart {
        let number = index.checked_rem(self.parts(limit)).map_or(0, |index| index + 1);
        SlotPart { scope: scope.clone(), number }
    }

    /// Sets what `holder` holds of the part's slots until `expires`: the most of `wanted`, or what is free when that is
    /// less, and never less than the least of `wanted`: those are in use. `0..=0` releases.
    ///
    /// Exact, however many holders race, and whatever limits they know: the slots that unexpired holders leased under a
    /// limit or a lower one never exceed that limit, except by those that were in use when it was lowered.
    pub async fn lease(
        &self,
        part: &SlotPart,
        holder: &RunnerId,
        wanted: RangeInclusive<u16>,
        limit: u16,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Leased, StoreError> {
        let ask = Ask { part, holder, wanted, limit, expires, now };
        let (leased, excess) = self.lease_once(&ask).await?;
        if leased.slots < *ask.wanted.end() && excess && self.reclaim(&ask).await? {
            return Ok(self.lease_once(&ask).await?.0);
        }
        Ok(leased)
    }

    /// The parts of this scope that seem to have a free slot; those that need not ask the main row come first. The
    /// others follow in the order of their indexes from `first` on, so that not all processes choose the same one.
    pub async fn with_room(
        &self,
        scope: &SlotScope,
        limit: u16,
        first: u16,
        now: Timestamp,
    ) -> Result<Vec<SlotPart>, StoreError> {
        let parts: Vec<SlotPart> =
            (0..self.parts(limit)).map(|index| self.part(scope, limit, first.wrapping_add(index))).collect();
        let rows = self.rows.read_rows("look for free slots", parts.iter().map(SlotPart::key)).await?;
        let (mut idle, mut possible) = (Vec::new(), Vec::new());
        for part in parts {
            let row = PartRow::among(&rows, &part, now)?;
            let share = self.division.share(limit, part.number);
            if row.held() < share.min(row.block.slots) {
                idle.push(part);
            } else if row.held() < share {
                possible.push(part);
            }
        }
        idle.append(&mut possible);
        Ok(idle)
    }

    /// How many slots of the scope are held by anybody.
    pub async fn held(&self, scope: &SlotScope, now: Timestamp) -> Result<u16, StoreError> {
        const ACTION: &str = "count the slots";
        let main = MainRow::read(&self.rows, &SlotPart::main(scope.clone()), now).await?;
        let (parts, blocks) = (self.parts_of(scope, &main), main.blocks());
        let mut held = sum(&main.holders) - blocks.iter().map(|(_, slots)| u32::from(*slots)).sum::<u32>();
        let rows = self.rows.read_rows(ACTION, parts.iter().map(SlotPart::key)).await?;
        for part in &parts {
            held += u32::from(PartRow::among(&rows, part, now)?.held());
        }
        Ok(saturating(held))
    }

    /// How often the rows of the scope were written.
    pub async fn revision(&self, scope: &SlotScope, now: Timestamp) -> Result<u64, StoreError> {
        let main = MainRow::read(&self.rows, &SlotPart::main(scope.clone()), now).await?;
        let parts = self.parts_of(scope, &main);
        let rows = self.rows.read_rows("count the writes", parts.iter().map(SlotPart::key)).await?;
        let revisions = rows.iter().map(|row| PartRow::read(row).map(|row| row.revision));
        Ok(main.revision + revisions.sum::<Result<u64, _>>()?)
    }

    /// The parts that have a block.
    fn parts_of(&self, scope: &SlotScope, main: &MainRow) -> Vec<SlotPart> {
        let parts = main.blocks().into_iter().map(|(number, _)| SlotPart { scope: scope.clone(), number });
        parts.collect()
    }

    /// The result, and whether the main row was asked and has blocks that are larger than this limit allows.
    async fn lease_once(&self, ask: &Ask<'_>) -> Result<(Leased, bool), StoreError> {
        // Of every reading: what this set, and did not hear of, is not what was there before.
        let mut was_full = false;
        let (leased, excess) = if ask.part.number == 0 {
            let lease = |holders: &mut ByHolder<Held>| {
                expire(holders, ask.now);
                was_full |= sum(holders) >= u32::from(ask.limit);
                let leased = ask.take(holders, ask.limit);
                (leased, self.excess(blocks(holders), ask.limit).next().is_some())
            };
            self.rows.change(ACTION, &ask.part.key(), ask.holder, lease).await?
        } else {
            let mut race = self.rows.race(ACTION, ask.holder);
            loop {
                if let Some(done) = self.lease_from_part(ask, &mut was_full).await? {
                    break done;
                }
                race.wait_after_loss().await?;
            }
        };
        Ok((Leased { was_full, ..leased }, excess))
    }

    /// As [`Self::lease_once`]; `None` if the race was lost.
    async fn lease_from_part(&self, ask: &Ask<'_>, was_full: &mut bool) -> Result<Option<(Leased, bool)>, StoreError> {
        let mut row = PartRow::at(self.rows.read_row(ACTION, &ask.part.key()).await?.as_ref(), ask.now)?;
        let own = row.holders.get(ask.holder.as_str()).copied();
        *was_full |= row.held() >= row.block.slots;
        let covered = row.block.covers(ask.limit, ask.expires);
        let share = self.division.share(ask.limit, ask.part.number);
        // Without the main row, nothing can be added under a lower limit or for longer than the block is leased.
        let free_of = if covered { row.block.slots } else { 0 };
        if ask.grant(&row.holders, free_of) == *ask.wanted.end() || (covered && row.block.slots >= share) {
            let leased = ask.take(&mut row.holders, free_of);
            return self.write_part(ask, row, own, (leased, false)).await;
        }

        let main_row = SlotPart::main(ask.part.scope.clone());
        let mut main = MainRow::read(&self.rows, &main_row, ask.now).await?;
        let beside = main.beside(ask.part.number);
        let in_use = saturating(others(&row.holders, ask.holder) + u32::from(*ask.wanted.start()));
        let slots = grant(&(in_use..=share.max(in_use)), beside, ask.limit);
        let excess = self.excess(main.blocks().into_iter(), ask.limit).next().is_some();
        let leased = ask.take(&mut row.holders, slots);
        if (covered && slots == row.block.slots) || (leased.slots == 0 && own.is_none()) {
            return self.write_part(ask, row, own, (leased, excess)).await;
        }
        row.block = Block {
            slots,
            until: row.block.until.max(ask.expires.saturating_add(BLOCK_SPARE)),
            ceiling: u32::from(ask.limit).max(beside + u32::from(slots)),
        };
        main.set_block(ask.part.number, slots, row.block.until);
        let won = self.rows.write_together(ACTION, [main.into_row(&main_row), row.into_row(ask.part)]).await?;
        Ok(won.then_some((leased, excess)))
    }

    /// Writes the row of a part if what the holder has in it has changed.
    async fn write_part(
        &self,
        ask: &Ask<'_>,
        row: PartRow,
        own: Option<Held>,
        result: (Leased, bool),
    ) -> Result<Option<(Leased, bool)>, StoreError> {
        if row.holders.get(ask.holder.as_str()) == own.as_ref() {
            return Ok(Some(result));
        }
        let (row, revision) = row.into_row(ask.part);
        Ok(self.rows.write(ACTION, row, revision).await?.then_some(result))
    }

    /// Returns the idle slots of blocks that are larger than this limit allows to the main row. Whether there were any.
    async fn reclaim(&self, ask: &Ask<'_>) -> Result<bool, StoreError> {
        let main_row = SlotPart::main(ask.part.scope.clone());
        let mut race = self.rows.race(ACTION, ask.holder);
        loop {
            let mut main = MainRow::read(&self.rows, &main_row, ask.now).await?;
            let excess: BTreeSet<u16> = self.excess(main.blocks().into_iter(), ask.limit).collect();
            let mut parts = self.parts_of(&ask.part.scope, &main);
            parts.retain(|part| excess.contains(&part.number));
            let found = self.rows.read_rows(ACTION, parts.iter().map(SlotPart::key)).await?;
            let mut rows = Vec::new();
            for part in &parts {
                let mut row = PartRow::among(&found, part, ask.now)?;
                let kept = row.held().max(self.division.share(ask.limit, part.number));
                if row.block.slots > kept {
                    row.block.slots = kept;
                    main.shrink_block(part.number, kept);
                    rows.push(row.into_row(part));
                }
            }
            if rows.is_empty() {
                return Ok(false);
            }
            rows.push(main.into_row(&main_row));
            if self.rows.write_together(ACTION, rows).await? {
                return Ok(true);
            }
            race.wait_after_loss().await?;
        }
    }

    /// The parts whose blocks are larger than this limit allows.
    fn excess(&self, blocks: impl Iterator<Item = (u16, u16)>, limit: u16) -> impl Iterator<Item = u16> {
        blocks.filter(move |(part, slots)| *slots > self.division.share(limit, *part)).map(|(part, _)| part)
    }
}

impl Ask<'_> {
    /// How many of a row's slots the holder gets.
    fn grant(&self, holders: &ByHolder<Held>, of: u16) -> u16 {
        grant(&self.wanted, others(holders, self.holder), of)
    }

    /// Gives them to the holder.
    fn take(&self, holders: &mut ByHolder<Held>, of: u16) -> Leased {
        let slots = self.grant(holders, of);
        set(holders, self.holder.as_str(), slots, self.expires);
        let held = sum(holders);
        debug_assert!(
            held <= u32::from(of) || slots == *self.wanted.start(),
            "more slots of {} than there are get granted, and not because they are in use",
            self.part.key()
        );
        Leased { slots, was_full: false, held, of }
    }
}

/// The most of `wanted` that others leave of so many slots, and never less than the least.
fn grant(wanted: &RangeInclusive<u16>, others: u32, of: u16) -> u16 {
    let free = u32::from(of).saturating_sub(others);
    (*wanted.end()).min(saturating(free)).max(*wanted.start())
}
