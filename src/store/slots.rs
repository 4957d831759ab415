//! Slots: what limits how many Tasks run at once, without a counter per Task.
//!
//! Each scope is one row that names its holders, how many slots each holds, and until when. It is read, changed and
//! written back on condition that nobody else wrote it meanwhile.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tasklane_model::{FunctionName, Timestamp};
use tasklane_ports::Clock;
use tasklane_runtime::backoff::Backoff;

use super::{
    RunnerId, StoreError,
    change::Condition,
    row::{NewRow, Row, json, number},
    table::{Table, Written},
};

/// How often a write that lost a race is tried in all. The winner of each race is done, so this is about how many
/// holders can change the same scope at once.
const TRIES: usize = 50;
/// How long to wait between two of these tries.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// The sort key of each scope's row.
const ONE: &str = "-";

/// Who holds how many slots of each scope.
#[derive(Clone)]
pub struct SlotLedger {
    pub(super) control: Table,
    pub(super) clock: Arc<dyn Clock>,
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

/// What one holder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    slots: u16,
    until: Timestamp,
}

/// What came of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leased {
    /// What the holder holds now.
    pub slots: u16,
    /// What all holders held before, at least.
    pub before: u32,
    /// What all holders hold now.
    pub after: u32,
}

/// The holders of a scope, and the revision of their row; no row is revision 0.
pub(super) struct Ledger {
    holders: BTreeMap<String, Held>,
    revision: u64,
}

impl SlotLedger {
    /// Sets what `holder` holds of the scope's slots until `expires`: the most of `wanted`, or what the others leave of
    /// `limit` when that is less, and never less than the least of `wanted`: those are in use. `0..=0` releases.
    ///
    /// Exact, however many holders race: the slots of unexpired holders never exceed the limit, except by those that were in
    /// use when the limit was lowered.
    pub async fn lease(
        &self,
        scope: &SlotScope,
        holder: &RunnerId,
        wanted: RangeInclusive<u16>,
        limit: u16,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Leased, StoreError> {
        const ACTION: &str = "lease slots";
        // Of every reading: what this set, and did not hear of, is not what was there before.
        let mut before = 0;
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).spread_by(shares_of(holder)).take(TRIES - 1);
        loop {
            let Ledger { mut holders, revision } = self.read(ACTION, scope).await?;
            holders.retain(|_, held| held.until > now);
            let others = holders.iter().filter(|(name, _)| *name != holder.as_str());
            let others: u32 = others.map(|(_, held)| u32::from(held.slots)).sum();
            let free = u32::from(limit).saturating_sub(others);
            let granted = (*wanted.end()).min(u16::try_from(free).unwrap_or(u16::MAX)).max(*wanted.start());
            debug_assert!(
                others + u32::from(granted) <= u32::from(limit) || granted == *wanted.start(),
                "more slots of {scope} than its limit are granted, and not because they are in use"
            );
            let held = (granted > 0).then_some(Held { slots: granted, until: expires });
            let own = holders.get(holder.as_str()).copied();
            before = before.max(others + own.map_or(0, |held| u32::from(held.slots)));
            let leased = Leased { slots: granted, before, after: others + u32::from(granted) };
            if own == held {
                return Ok(leased);
            }
            match held {
                Some(held) => holders.insert(holder.as_str().to_owned(), held),
                None => holders.remove(holder.as_str()),
            };
            if self.write(ACTION, scope, &holders, revision).await? {
                return Ok(leased);
            }
            // Lost the race, or our own answer was lost: the next reading tells, and what we set is set only once.
            let Some(pause) = pauses.next() else { return Err(StoreError::Throttled { action: ACTION }) };
            self.clock.sleep(pause).await;
        }
    }

    /// How many slots of the scope are held by anybody.
    pub async fn held(&self, scope: &SlotScope, now: Timestamp) -> Result<u16, StoreError> {
        let Ledger { holders, .. } = self.read("count the slots", scope).await?;
        let slots = holders.values().filter(|held| held.until > now).map(|held| held.slots);
        Ok(slots.fold(0, u16::saturating_add))
    }

    /// How often the scope's row was written.
    pub async fn revision(&self, scope: &SlotScope) -> Result<u64, StoreError> {
        Ok(self.read("count the writes", scope).await?.revision)
    }

    async fn read(&self, action: &'static str, scope: &SlotScope) -> Result<Ledger, StoreError> {
        match self.control.get(action, &partition(scope), ONE).await? {
            None => Ok(Ledger { holders: BTreeMap::new(), revision: 0 }),
            Some(row) => read(&row),
        }
    }

    async fn write(
        &self,
        action: &'static str,
        scope: &SlotScope,
        holders: &BTreeMap<String, Held>,
        revision: u64,
    ) -> Result<bool, StoreError> {
        let mut row = NewRow::new(partition(scope), ONE);
        row.set("holders", json(holders));
        row.set("revision", number(revision + 1));
        let unchanged = match revision {
            0 => Condition::absent(),
            _ => Condition::new("#revision = :read").with("read", number(revision)),
        };
        match self.control.put(action, row, unchanged).await? {
            Written::Done(_) => Ok(true),
            Written::Refused(_) => Ok(false),
        }
    }
}

pub(super) fn read(row: &Row) -> Result<Ledger, StoreError> {
    Ok(Ledger { holders: row.json("holders")?, revision: row.number("revision")? })
}

fn partition(scope: &SlotScope) -> String {
    format!("slots:{scope}")
}

/// Shares of a pause that differ from holder to holder, so that holders that met once do not meet again. They follow from
/// the holder's name, so that a simulated history repeats them.
fn shares_of(holder: &RunnerId) -> impl FnMut() -> f64 {
    let mut state = holder.as_str().bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    move || {
        // A linear congruential generator: its high bits are random enough to keep holders apart.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1_u32 << 24)
    }
}
