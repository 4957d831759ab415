//! Tables that are partitioned by day: finds a record's partition from its id.
//!
//! The partition is `<day>#<shard>`. Both follow from the id and from the number of shards of the day, which is
//! recorded when the day's first record is added and never changes. So the setting can change, and all records are
//! still found. The recorded days also tell lists where to look.

use std::{collections::BTreeMap, sync::Arc};

use tasklane_model::ObjectId;
use tasklane_runtime::lock::Lock;

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
    /// The partition of the control table that records the days.
    list: Arc<str>,
    shards: u8,
    known: Arc<Lock<Known>>,
}

#[derive(Default)]
struct Known {
    days: BTreeMap<String, u8>,
    /// Whether all days have been read once.
    all_read: bool,
}

/// The partitions of one day.
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

    /// The partition for a new record. The day is recorded first, if this process has not seen it yet, so that a list
    /// that starts after the record was added finds the day.
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

    /// The partition of a record, if it exists.
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

    /// The days with records, earliest first. Strongly consistent.
    pub(super) async fn all(&self) -> Result<Vec<DayShards>, StoreError> {
        let rows = self.control.all_of("list the days", &self.list).await?;
        let days = rows.iter().map(read_day).collect::<Result<Vec<_>, _>>()?;
        let mut known = self.known.lock();
        known.days.extend(days.iter().map(|day| (day.day.clone(), day.shards)));
        known.all_read = true;
        Ok(days)
    }

    /// The most shards that any day has had, which is how many parts a lane may have.
    pub(super) async fn lane_shards(&self) -> Result<u8, StoreError> {
        let all_read = self.known.lock().all_read;
        if !all_read {
            self.all().await?;
        }
        let known = self.known.lock();
        Ok(known.days.values().copied().fold(self.shards, u8::max))
    }

    fn lookup(&self, day: &str) -> Option<u8> {
        self.known.lock().days.get(day).copied()
    }

    fn learn(&self, day: String, shards: u8) {
        self.known.lock().days.insert(day, shards);
    }
}

pub(super) fn read_day(row: &Row) -> Result<DayShards, StoreError> {
    Ok(DayShards { day: row.text("sk")?.to_owned(), shards: row.number("shards")? })
}

fn place(day: &str, id: ObjectId, shards: u8) -> (String, u8) {
    let shard = shard_of(id, shards);
    (partition(day, shard), shard)
}

/// The last byte is random, or counts up within a millisecond: either is evenly distributed.
fn shard_of(id: ObjectId, shards: u8) -> u8 {
    id.as_bytes()[11] % shards.max(1)
}

fn partition(day: &str, shard: u8) -> String {
    format!("{day}#{shard}")
}
