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
    transaction::Transacted,
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
        match self.read_row(action, pk).await? {
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
        let mut race = self.race(action, holder);
        loop {
            let HolderRow { mut holders, revision } = self.read(action, pk).await?;
            let own = holders.get(holder.as_str()).cloned();
            let result = change(&mut holders);
            let same = holders.get(holder.as_str()) == own.as_ref();
            if same || self.write(action, new_row(pk, &holders, revision), revision).await? {
                return Ok(result);
            }
            race.wait_after_loss().await?;
        }
    }

    /// The attempts of this holder to read and change rows.
    pub(super) fn race(&self, action: &'static str, holder: &RunnerId) -> Race<impl Iterator<Item = Duration> + use<>> {
        let pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).spread_by(shares_of(holder)).take(TRIES - 1);
        Race { action, pauses, clock: Arc::clone(&self.clock) }
    }

    /// Writes a row if it has not been written since this revision was read.
    pub(super) async fn write(&self, action: &'static str, row: NewRow, revision: u64) -> Result<bool, StoreError> {
        match self.control.put(action, row, unchanged(revision)).await {
            Ok(Written::Done(_)) => Ok(true),
            Ok(Written::Refused(_)) | Err(StoreError::Contended { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes several rows together, each if it has not been written since its revision was read.
    pub(super) async fn write_together(
        &self,
        action: &'static str,
        rows: impl IntoIterator<Item = (NewRow, u64)>,
    ) -> Result<bool, StoreError> {
        let parts = rows.into_iter().map(|(row, revision)| self.control.to_put_when(action, row, unchanged(revision)));
        match self.control.transact(action, parts.collect::<Result<_, _>>()?).await {
            Ok(Transacted::Done) => Ok(true),
            Ok(Transacted::Refused(_)) | Err(StoreError::Contended { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the rows with these partition keys that exist.
    pub(super) async fn read_rows(
        &self,
        action: &'static str,
        pks: impl Iterator<Item = String>,
    ) -> Result<Vec<Row>, StoreError> {
        self.control.get_all(action, pks.map(|pk| (pk, ONE.to_owned()))).await
    }

    /// Reads one row.
    pub(super) async fn read_row(&self, action: &'static str, pk: &str) -> Result<Option<Row>, StoreError> {
        self.control.get(action, pk, ONE).await
    }
}

/// Attempts to read and change rows, of which one has to win.
pub(super) struct Race<P> {
    action: &'static str,
    pauses: P,
    clock: Arc<dyn Clock>,
}

impl<P: Iterator<Item = Duration>> Race<P> {
    /// Waits until the next attempt. An error if there were too many.
    ///
    /// The race was lost, or the response to our own write was lost: the next read shows which, and attempts are
    /// idempotent.
    pub(super) async fn wait_after_loss(&mut self) -> Result<(), StoreError> {
        let Some(pause) = self.pauses.next() else { return Err(StoreError::Throttled { action: self.action }) };
        self.clock.sleep(pause).await;
        Ok(())
    }
}

/// A row with these holders that replaces the one of that revision.
pub(super) fn new_row<T: Serialize>(pk: &str, holders: &ByHolder<T>, revision: u64) -> NewRow {
    let mut row = NewRow::new(pk, ONE);
    row.set("holders", json(holders));
    row.set("revision", number(revision + 1));
    row
}

fn unchanged(revision: u64) -> Condition {
    match revision {
        0 => Condition::absent(),
        _ => Condition::new("#revision = :read").with("read", number(revision)),
    }
}

pub(super) fn read<T: DeserializeOwned>(row: &Row) -> Result<HolderRow<T>, StoreError> {
    Ok(HolderRow { holders: row.json("holders")?, revision: row.number("revision")? })
}

/// Factors for a pause that differ between holders, so that holders that collided once do not collide again. They
/// depend only on the holder's name, so that a simulated history can be repeated.
fn shares_of(holder: &RunnerId) -> impl FnMut() -> f64 + use<> {
    let mut state = holder.as_str().bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    move || {
        // A linear congruential generator: its high bits are random enough for this.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1_u32 << 24)
    }
}
