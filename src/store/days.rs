//! Tables that are partitioned by day: where a record lies, from its id alone.
//!
//! The partition is `<day>#<shard>`; both follow from the id, given how many shards its day has. That number is
//! written down, once, by whoever adds the first record of the day, and never changes: so the setting may change and
//! everything is still found. The same rows tell a list which days hold anything.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tasklane_model::ObjectId;

use super::{
    StoreError,
    change::Condition,
    row::{NewRow, Row, number},
    table::{Table, Written},
};

/// The days of one table.
#[derive(Clone)]
pub(super) struct Days {
    control: Table,
    /// The partition of the control table that lists them.
    list: Arc<str>,
    shards: u8,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    days: BTreeMap<String, u8>,
    /// Whether every day there was at some moment is known.
    all_read: bool,
}

/// One partition of a table: a shard of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DayShards {
    pub(super) day: String,
    pub(super) shards: u8,
}

impl DayShards {
    /// The partition of each shard.
    pub(super) fn partitions(&self) -> impl Iterator<Item = String> {
        (0..self.shards).map(|shard| partition(&self.day, shard))
    }
}

impl Days {
    pub(super) fn new(control: &Table, table: &str, shards: u8) -> Self {
        Self {
            control: control.clone(),
            list: format!("days:{table}").into(),
            shards: shards.clamp(1, 64),
            known: Arc::default(),
        }
    }

    /// Where a new record goes. Writes its day down first when this process has not yet seen it: a list that starts
    /// after the record was added finds the day.
    pub(super) async fn partition_for(&self, id: ObjectId) -> Result<(String, u8), StoreError> {
        let day = id.time().day();
        if let Some(shards) = self.lookup(&day) {
            return Ok(place(&day, id, shards));
        }
        const ACTION: &str = "write down the day";
        let shards = match self.control.get(ACTION, &self.list, &day).await? {
            Some(row) => row.number("shards")?,
            None => {
                let mut row = NewRow::new(&*self.list, &day);
                row.set("shards", number(self.shards));
                match self.control.put(ACTION, row, Condition::absent()).await? {
                    Written::Done(_) => self.shards,
                    Written::Refused(Some(row)) => row.number("shards")?,
                    Written::Refused(None) => self.shards,
                }
            }
        };
        self.learn(day.clone(), shards);
        Ok(place(&day, id, shards))
    }

    /// Where a record is, if it is anywhere.
    pub(super) async fn partition_of(&self, id: ObjectId) -> Result<Option<(String, u8)>, StoreError> {
        let day = id.time().day();
        if let Some(shards) = self.lookup(&day) {
            return Ok(Some(place(&day, id, shards)));
        }
        let Some(row) = self.control.get("look the day up", &self.list, &day).await? else { return Ok(None) };
        let shards = row.number("shards")?;
        self.learn(day.clone(), shards);
        Ok(Some(place(&day, id, shards)))
    }

    /// The days that hold anything, the earliest first. Strongly consistent.
    pub(super) async fn all(&self) -> Result<Vec<DayShards>, StoreError> {
        let rows = self.control.all_of("list the days", &self.list).await?;
        let days = rows.iter().map(read_day).collect::<Result<Vec<_>, _>>()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.days.extend(days.iter().map(|day| (day.day.clone(), day.shards)));
        known.all_read = true;
        Ok(days)
    }

    /// Into how many shards a lane can be divided by now: as many as any day ever was.
    pub(super) async fn lane_shards(&self) -> Result<u8, StoreError> {
        let all_read = self.known.lock().unwrap_or_else(PoisonError::into_inner).all_read;
        if !all_read {
            self.all().await?;
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(known.days.values().copied().fold(self.shards, u8::max))
    }

    fn lookup(&self, day: &str) -> Option<u8> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).days.get(day).copied()
    }

    fn learn(&self, day: String, shards: u8) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).days.insert(day, shards);
    }
}

pub(super) fn read_day(row: &Row) -> Result<DayShards, StoreError> {
    Ok(DayShards { day: row.text("sk")?.to_owned(), shards: row.number("shards")? })
}

fn place(day: &str, id: ObjectId, shards: u8) -> (String, u8) {
    let shard = shard_of(id, shards);
    (partition(day, shard), shard)
}

/// The last byte is chance, or counts up within a millisecond: either spreads evenly.
fn shard_of(id: ObjectId, shards: u8) -> u8 {
    id.as_bytes()[11] % shards.max(1)
}

fn partition(day: &str, shard: u8) -> String {
    format!("{day}#{shard}")
}
