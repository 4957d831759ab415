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

/// The attribute of days that processes with marks recorded.
const MARKED: &str = "marked";

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
    /// Whether the process that recorded the day writes marks ([`crate::tasks::marks`]).
    pub(super) is_marked: bool,
}

impl DayShards {
    /// The partition of each shard.
    pub(super) fn partitions(&self) -> impl Iterator<Item = String> {
        (0..self.shards).map(|shard| partition(&self.day, shard))
    }

    /// The smallest id that a record of this day can have.
    pub(super) fn first_id(&self) -> Option<ObjectId> {
        let (year, month, day) = (self.day.get(0..4)?, self.day.get(4..6)?, self.day.get(6..8)?);
        format!("{year}-{month}-{day}T00:00:00.000Z").parse().ok().map(ObjectId::first_at)
    }
}

/// Whether all records of each of these days have their marks. The days next to one that an older process recorded do not
/// count: it may have written some of their records.
pub(super) fn wholly_marked(days: &[DayShards]) -> Vec<bool> {
    let is_marked = |index: Option<usize>| index.and_then(|index| days.get(index)).is_none_or(|day| day.is_marked);
    (0..days.len())
        .map(|index| is_marked(index.checked_sub(1)) && is_marked(Some(index)) && is_marked(Some(index + 1)))
        .collect()
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
                row.set(MARKED, number(1));
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
    let is_marked = row.optional_number::<u8>(MARKED)?.is_some();
    Ok(DayShards { day: row.text("sk")?.to_owned(), shards: row.number("shards")?, is_marked })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: &str, is_marked: bool) -> DayShards {
        DayShards { day: day.to_owned(), shards: 1, is_marked }
    }

    #[test]
    fn days_beside_those_of_an_older_process_may_lack_marks() {
        let marked =
            |flags: &[bool]| wholly_marked(&flags.iter().map(|flag| day("20260131", *flag)).collect::<Vec<_>>());
        assert_eq!(marked(&[true, true]), [true, true]);
        assert_eq!(marked(&[false, true, true]), [false, false, true]);
        // An older version was deployed again for a while.
        assert_eq!(marked(&[true, true, false, true, true]), [true, false, false, false, true]);
    }

    #[test]
    fn the_first_id_of_a_day_is_the_smallest_in_it() {
        let first = day("20260131", true).first_id().unwrap();
        assert_eq!(first.time().day(), "20260131");
        assert_eq!(first.predecessor().time().day(), "20260130");
    }
}
