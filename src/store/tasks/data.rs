//! Stores the `data` of Tasks.
//!
//! Small data is in the Task's row. Large data has its own row in another partition, because each step of a Task's life
//! rewrites the Task's row, and DynamoDB charges for the whole row. The data is written once, before the Task, and
//! never changes; a Task and its retries share it. Data that replaces a Task's is written beside the old one.

use std::{collections::HashMap, time::Duration};

use tasklane_model::{Json, ObjectId, Task, Timestamp};
use tasklane_runtime::backoff::Backoff;
use tracing::warn;

use crate::{
    StoreError,
    change::{Change, Condition},
    days::Days,
    row::{EXPIRES, NewRow, Row, number, text},
    table::Table,
};

/// Data of at least this many bytes has its own row. DynamoDB charges by the kilobyte: from this size on a separate row
/// costs less, even for a Task that runs immediately and is never retried.
pub(crate) const OWN_ROW_FROM: usize = 4 << 10;

/// The first format with separate rows for data.
pub(super) const FORMAT: u32 = 2;

/// How often the data of a claimed Task is read in total.
const TRIES: usize = 6;
/// The first pause between these attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

/// How much longer data and marks are kept than the last of their Tasks, in seconds, because TTL deletes rows in any order.
pub(super) const KEPT_AFTER: i64 = 24 * 60 * 60;

/// The place of a Task's `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPlace {
    /// In the Task's row, if there is any data.
    Inside,
    /// In a separate row under this id: that of the Task or of the first one of its chain, or an id that was drawn for
    /// the data, if the data was replaced.
    Apart(ObjectId),
}

#[derive(Clone)]
pub(crate) struct DataRows {
    table: Table,
    days: Days,
}

impl DataRows {
    pub(crate) fn new(table: &Table, days: &Days) -> Self {
        Self { table: table.clone(), days: days.clone() }
    }

    /// Writes the data of a new Task if it is large, and returns its place. To be called before the Task is added. If
    /// the process dies in between, nothing refers to the row.
    pub(crate) async fn put(&self, partition: &str, task: &Task) -> Result<DataPlace, StoreError> {
        self.put_for(partition, task.id, task.data.as_ref()).await
    }

    /// Writes data under an id of its partition if it is large, and returns its place.
    pub(super) async fn put_for(
        &self,
        partition: &str,
        id: ObjectId,
        data: Option<&Json>,
    ) -> Result<DataPlace, StoreError> {
        let Some(data) = data.filter(|data| data.as_str().len() >= OWN_ROW_FROM) else {
            return Ok(DataPlace::Inside);
        };
        let mut row = NewRow::new(data_partition(partition), id).in_format(FORMAT);
        row.set("data", text(data.as_str()));
        // If the row exists, it is our own, or that of a call with the same idempotency key and equal data.
        self.table.put("add the data of the task", row, Condition::absent()).await?;
        Ok(DataPlace::Apart(id))
    }

    /// Removes the row that [`DataRows::put`] wrote, if the Task was not added or was withdrawn. If this fails, the row
    /// stays, and nothing refers to it.
    pub(crate) async fn take_back(&self, partition: &str, id: ObjectId, place: DataPlace) {
        if place != DataPlace::Apart(id) {
            return;
        }
        let (pk, sk) = (data_partition(partition), id.to_string());
        if let Err(error) = self.table.delete_when("remove the data of the task", &pk, &sk, Condition::new("")).await {
            warn!(task = %id, %error, "the data of a task that is gone was not removed");
        }
    }

    /// Adds the data to the rows, in the same order. A row whose data no longer exists stays as it is.
    pub(crate) async fn attach_all(&self, mut rows: Vec<Row>) -> Result<Vec<Row>, StoreError> {
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
                row.set_read("data", text(data));
            }
        }
        Ok(rows)
    }

    /// Adds the data to a row.
    pub(super) async fn attach(&self, mut row: Row) -> Result<Row, StoreError> {
        if let DataPlace::Apart(id) = missing(&row)?
            && let Some((pk, sk)) = self.key_of(id).await?
            && let Some(data) = self.table.get("read the data of the task", &pk, &sk).await?
        {
            row.set_read("data", text(data.text("data")?));
        }
        Ok(row)
    }

    /// Adds the data to the row of a claimed Task. This is retried a few times, because an error would leave the Task
    /// claimed but not started.
    pub(super) async fn attach_to_claimed(&self, row: Row) -> Result<Row, StoreError> {
        // Nobody else reads this data now, so the pauses need not be random.
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).take(TRIES - 1);
        loop {
            let error = match self.attach(row.clone()).await {
                Ok(row) => return Ok(row),
                Err(error) => error,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            self.table.pause(pause).await;
        }
    }

    /// Lets the data of a Task that has ended expire, some time after the Task. If this fails, the row stays: the end of
    /// the Task is written already, and its caller must not be told otherwise.
    pub(super) async fn expire(&self, row: &Row, expires: Timestamp) {
        if let Err(error) = self.try_to_expire(row, expires).await {
            warn!(%error, "the data of a task that has ended does not expire");
        }
    }

    async fn try_to_expire(&self, row: &Row, expires: Timestamp) -> Result<(), StoreError> {
        let DataPlace::Apart(id) = place(row)? else { return Ok(()) };
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

pub(super) fn place(row: &Row) -> Result<DataPlace, StoreError> {
    Ok(match row.optional_text("dataOf")? {
        None => DataPlace::Inside,
        Some(_) => DataPlace::Apart(row.parse("dataOf")?),
    })
}

/// The place of this row's data, if it has not been read yet.
fn missing(row: &Row) -> Result<DataPlace, StoreError> {
    if row.optional_text("data")?.is_some() { Ok(DataPlace::Inside) } else { place(row) }
}

/// Whether the row's data has not been read yet.
pub(crate) fn is_missing(row: &Row) -> Result<bool, StoreError> {
    Ok(missing(row)? != DataPlace::Inside)
}

/// How many bytes of data have not been read yet.
pub(crate) fn missing_bytes(row: &Row) -> u64 {
    match is_missing(row) {
        Ok(true) => row.optional_number("dataBytes").ok().flatten().unwrap_or(0),
        Ok(false) | Err(_) => 0,
    }
}

/// Another partition than the Task's, so that they do not share throughput, and a list of Tasks does not read over the
/// data.
fn data_partition(partition: &str) -> String {
    format!("data:{partition}")
}
