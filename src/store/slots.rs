//! Slots: what limits how many Tasks run at once, without a counter per Task.
//!
//! Each scope is one row that names its holders, how many slots each holds, and until when.

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};
use tasklane_model::{FunctionName, Timestamp};

use super::{
    RunnerId, StoreError,
    holders::{ByHolder, HolderRow, Holders},
};

/// Who holds how many slots of each scope.
#[derive(Clone)]
pub struct SlotLedger(pub(super) Holders);

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
pub(super) struct Held {
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
        // Of every reading: what this set, and did not hear of, is not what was there before.
        let mut before = 0;
        let lease = |holders: &mut ByHolder<Held>| {
            holders.retain(|_, held| held.until > now);
            let others = holders.iter().filter(|(name, _)| *name != holder.as_str());
            let others: u32 = others.map(|(_, held)| u32::from(held.slots)).sum();
            let free = u32::from(limit).saturating_sub(others);
            let granted = (*wanted.end()).min(u16::try_from(free).unwrap_or(u16::MAX)).max(*wanted.start());
            debug_assert!(
                others + u32::from(granted) <= u32::from(limit) || granted == *wanted.start(),
                "more slots of {scope} than its limit are granted, and not because they are in use"
            );
            let own = match granted {
                0 => holders.remove(holder.as_str()),
                _ => holders.insert(holder.as_str().to_owned(), Held { slots: granted, until: expires }),
            };
            before = before.max(others + own.map_or(0, |held| u32::from(held.slots)));
            Leased { slots: granted, before, after: others + u32::from(granted) }
        };
        self.0.change("lease slots", &partition(scope), holder, lease).await
    }

    /// How many slots of the scope are held by anybody.
    pub async fn held(&self, scope: &SlotScope, now: Timestamp) -> Result<u16, StoreError> {
        let row: HolderRow<Held> = self.0.read("count the slots", &partition(scope)).await?;
        let slots = row.holders.values().filter(|held| held.until > now).map(|held| held.slots);
        Ok(slots.fold(0, u16::saturating_add))
    }

    /// How often the scope's row was written.
    pub async fn revision(&self, scope: &SlotScope) -> Result<u64, StoreError> {
        Ok(self.0.read::<Held>("count the writes", &partition(scope)).await?.revision)
    }
}

fn partition(scope: &SlotScope) -> String {
    format!("slots:{scope}")
}
