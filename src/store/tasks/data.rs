//! Where a Task's `data` is stored.
//!
//! Small data is in the Task's row. Large data has a row of its own, in a partition of its own: each step of a Task's life
//! rewrites the Task's row, and DynamoDB charges for all of it, whatever has changed. It is written once, before the Task,
//! and never changed; the retries of a Task share it.

use std::collections::HashMap;

use tasklane_model::{ObjectId, Task, Timestamp};

use crate::{
    StoreError,
    change::{Change, Condition},
    days::Days,
    row::{EXPIRES, NewRow, Row, number, text},
    table::Table,
};

/// From how many bytes on data has a row of its own. DynamoDB charges by the kilobyte: from here on the row saves more than
/// it costs, even for a Task that runs at once and is never retried.
pub(crate) const OWN_ROW_FROM: usize = 4 << 10;

/// The first format in which data has rows of its own.
pub(super) const FORMAT: u32 = 2;

/// How much longer than the last of its Tasks data is kept: TTL removes rows in any order.
const KEPT_AFTER: i64 = 24 * 60 * 60;

/// How often the data of a claimed Task is asked for in all. Until it is there, the Task cannot run.
const TRIES: usize = 8;

/// Where a Task's `data` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPlace {
    /// In the Task's row, if there is any.
    Inside,
    /// In a row of its own, which was written for this Task: the Task itself, or the one that it retries.
    Apart(ObjectId),
}

/// The rows of large data.
#[derive(Clone)]
pub(crate) struct DataRows {
    table: Table,
    days: Days,
}

impl DataRows {
    pub(crate) fn new(table: &Table, days: &Days) -> Self {
        Self { table: table.clone(), days: days.clone() }
    }

    /// Writes the data of a Task that is about to be added, if it is large. Answers where it is. A process that dies before it
    /// has added the Task leaves a row that nobody refers to.
    pub(crate) async fn put(&self, partition: &str, task: &Task) -> Result<DataPlace, StoreError> {
        let Some(data) = task.data.as_ref().filter(|data| data.as_str().len() >= OWN_ROW_FROM) else {
            return Ok(DataPlace::Inside);
        };
        let mut row = NewRow::new(data_partition(partition), task.id).in_format(FORMAT);
        row.set("data", text(data.as_str()));
        self.table.put("add the data of the task", row, Condition::new("")).await?;
        Ok(DataPlace::Apart(task.id))
    }

    /// Removes what [`DataRows::put`] wrote for a Task that was not added, or was taken back.
    pub(crate) async fn take_back(&self, partition: &str, id: ObjectId, place: DataPlace) -> Result<(), StoreError> {
        if place != DataPlace::Apart(id) {
            return Ok(());
        }
        let key = (data_partition(partition), id.to_string());
        self.table.delete_when("remove the data of the task", &key.0, &key.1, Condition::new("")).await.map(|_| ())
    }

    /// The rows with their data, in the same order. A row whose data is no longer there stays as it is.
    pub(crate) async fn fill(&self, mut rows: Vec<Row>) -> Result<Vec<Row>, StoreError> {
        let mut keys = Vec::new();
        for row in &rows {
            if let DataPlace::Apart(id) = missing(row)? {
                keys.extend(self.key_of(id).await?);
            }
        }
        if keys.is_empty() {
            return Ok(rows);
        }
        let mut found = HashMap::new();
        for data in self.table.get_all("read the data of the tasks", keys).await? {
            found.insert(data.text("sk")?.to_owned(), data.text("data")?.to_owned());
        }
        for row in &mut rows {
            if let DataPlace::Apart(id) = missing(row)?
                && let Some(data) = found.get(&id.to_string())
            {
                row.fill("data", text(data));
            }
        }
        Ok(rows)
    }

    /// The row with its data.
    pub(super) async fn fill_one(&self, mut row: Row) -> Result<Row, StoreError> {
        if let DataPlace::Apart(id) = missing(&row)?
            && let Some((pk, sk)) = self.key_of(id).await?
            && let Some(data) = self.table.get("read the data of the task", &pk, &sk).await?
        {
            row.fill("data", text(data.text("data")?));
        }
        Ok(row)
    }

    /// The row of a claimed Task with its data. An error would leave the Task claimed and not started, so it is tried again
    /// for some seconds.
    pub(super) async fn fill_claimed(&self, row: Row) -> Result<Row, StoreError> {
        let mut pauses = self.table.pauses().take(TRIES - 1);
        loop {
            let error = match self.fill_one(row.clone()).await {
                Ok(row) => return Ok(row),
                Err(error) => error,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            self.table.pause(pause).await;
        }
    }

    /// Lets the data of a Task expire that has ended for good, some time after the Task. If this is not done, the row stays.
    pub(super) async fn expire(&self, row: &Row, expires: Option<Timestamp>) -> Result<(), StoreError> {
        let (Some(expires), DataPlace::Apart(id)) = (expires, place(row)?) else { return Ok(()) };
        let Some((pk, sk)) = self.key_of(id).await? else { return Ok(()) };
        let change = Change::new()
            .set(EXPIRES, number(expires.as_secs().saturating_add(KEPT_AFTER)))
            .when(Condition::new("attribute_exists(#pk)"));
        self.table.update("let the data of the task expire", &pk, &sk, change).await.map(|_| ())
    }

    async fn key_of(&self, id: ObjectId) -> Result<Option<(String, String)>, StoreError> {
        let place = self.days.partition_of(id).await?;
        Ok(place.map(|(partition, _)| (data_partition(&partition), id.to_string())))
    }
}

/// Where the data of this row is.
pub(super) fn place(row: &Row) -> Result<DataPlace, StoreError> {
    Ok(match row.optional_text("dataOf")? {
        None => DataPlace::Inside,
        Some(_) => DataPlace::Apart(row.parse("dataOf")?),
    })
}

/// Where the data of this row is that has not been read yet.
fn missing(row: &Row) -> Result<DataPlace, StoreError> {
    if row.optional_text("data")?.is_some() { Ok(DataPlace::Inside) } else { place(row) }
}

/// Whether the row's data has still to be read.
pub(crate) fn is_missing(row: &Row) -> Result<bool, StoreError> {
    Ok(missing(row)? != DataPlace::Inside)
}

/// How many bytes of data have still to be read.
pub(crate) fn missing_bytes(row: &Row) -> u64 {
    match is_missing(row) {
        Ok(true) => row.optional_number("dataBytes").ok().flatten().unwrap_or(0),
        Ok(false) | Err(_) => 0,
    }
}

/// Beside the Tasks' partition: what is written into one takes nothing of the other's throughput, and a list of Tasks does
/// not meet their data.
fn data_partition(partition: &str) -> String {
    format!("data:{partition}")
}
