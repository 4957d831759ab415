//! A row with holders and what each of them holds. It is read, changed, and written on condition that it has not been
//! written in between.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tasklane_ports::Clock;
use tasklane_runtime::backoff::Backoff;

use super::{
    RunnerId, StoreError,
    change::Condition,
    row::{NewRow, Row, json, number},
    table::{Table, Written},
};

/// How often a write that loses races is attempted in total. The winner of each race is finished, so this is roughly
/// the number of holders that can change a row concurrently.
const TRIES: usize = 50;
/// The first pause between these attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
const ONE: &str = "-";

/// What each holder holds, by the holder's name.
pub(super) type ByHolder<T> = BTreeMap<String, T>;

#[derive(Clone)]
pub(super) struct Holders {
    control: Table,
    clock: Arc<dyn Clock>,
}

/// A row of holders and its revision, which is 0 if there is no row.
pub(super) struct HolderRow<T> {
    pub(super) holders: ByHolder<T>,
    pub(super) revision: u64,
}

impl Holders {
    pub(super) fn new(control: &Table, clock: &Arc<dyn Clock>) -> Self {
        Self { control: control.clone(), clock: Arc::clone(clock) }
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        action: &'static str,
        pk: &str,
    ) -> Result<HolderRow<T>, StoreError> {
        match self.control.get(action, pk, ONE).await? {
            None => Ok(HolderRow { holders: BTreeMap::new(), revision: 0 }),
            Some(row) => read(&row),
        }
    }

    /// Reads and changes the row until the write wins. `change` may be called several times, each time with the current
    /// holders. If it does not change the entry of `holder`, nothing is written.
    pub(super) async fn change<T: Serialize + DeserializeOwned + Clone + PartialEq, R>(
        &self,
        action: &'static str,
        pk: &str,
        holder: &RunnerId,
        mut change: impl FnMut(&mut ByHolder<T>) -> R,
    ) -> Result<R, StoreError> {
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).spread_by(shares_of(holder)).take(TRIES - 1);
        loop {
            let HolderRow { mut holders, revision } = self.read(action, pk).await?;
            let own = holders.get(holder.as_str()).cloned();
            let result = change(&mut holders);
            if holders.get(holder.as_str()) == own.as_ref() {
                return Ok(result);
            }
            if self.write(action, pk, &holders, revision).await? {
                return Ok(result);
            }
            // Lost the race, or the response to our own write was lost: the next read shows which, and `change` is
            // idempotent.
            let Some(pause) = pauses.next() else { return Err(StoreError::Throttled { action }) };
            self.clock.sleep(pause).await;
        }
    }

    async fn write<T: Serialize>(
        &self,
        action: &'static str,
        pk: &str,
        holders: &ByHolder<T>,
        revision: u64,
    ) -> Result<bool, StoreError> {
        let mut row = NewRow::new(pk, ONE);
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

pub(super) fn read<T: DeserializeOwned>(row: &Row) -> Result<HolderRow<T>, StoreError> {
    Ok(HolderRow { holders: row.json("holders")?, revision: row.number("revision")? })
}

/// Factors for a pause that differ between holders, so that holders that collided once do not collide again. They
/// depend only on the holder's name, so that a simulated history can be repeated.
fn shares_of(holder: &RunnerId) -> impl FnMut() -> f64 {
    let mut state = holder.as_str().bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    move || {
        // A linear congruential generator: its high bits are random enough for this.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1_u32 << 24)
    }
}
