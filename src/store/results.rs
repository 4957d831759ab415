//! What runs returned.
//!
//! A result is written before the outcome of its run, under the Task's id and the attempt. A reader follows the attempt
//! in the Task's row, so the result of a run that was considered dead is never seen.

use std::{sync::Arc, time::Duration};

use tasklane_model::{Json, ObjectId, Timestamp};
use tasklane_ports::{Clock, Keep, ObjectKey};

use super::{
    AttemptToken, StoreError,
    change::Condition,
    days::Days,
    row::{EXPIRES, NewRow, Row, number, text},
    table::Table,
};

/// Results of at most this many bytes are in the row itself. A row has at most 400 KB.
pub const IN_ROW: usize = 350 * 1024;

/// The first format with results.
const FORMAT: u32 = 2;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a result is.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultPlace {
    /// In its row.
    Row(Json),
    /// In an object.
    Object {
        /// The object.
        key: ObjectKey,
        /// The size of the result.
        bytes: u64,
    },
}

/// The results of runs.
#[derive(Clone)]
pub struct Results {
    pub(super) table: Table,
    pub(super) days: Days,
    pub(super) retention: Option<Duration>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Results {
    /// Writes the result of a run, idempotently.
    pub async fn put(
        &self,
        task: ObjectId,
        attempt: &AttemptToken,
        place: &ResultPlace,
        keep: Keep,
    ) -> Result<(), StoreError> {
        let Some((pk, sk)) = self.key_of(task, attempt).await? else { return Ok(()) };
        let mut row = NewRow::new(pk, sk).in_format(FORMAT);
        match place {
            ResultPlace::Row(json) => row.set("result", text(json.as_str())),
            ResultPlace::Object { key, bytes } => {
                row.set("object", text(key.as_str()));
                row.set("bytes", number(bytes));
            }
        }
        row.set_some(EXPIRES, self.expires(keep).map(|expires| number(expires.as_secs())));
        self.table.put("add the result of the run", row, Condition::default()).await?;
        Ok(())
    }

    /// The result of a run. `None` if it was not written.
    pub async fn get(&self, task: ObjectId, attempt: &AttemptToken) -> Result<Option<ResultPlace>, StoreError> {
        let Some((pk, sk)) = self.key_of(task, attempt).await? else { return Ok(None) };
        match self.table.get("read the result of the run", &pk, &sk).await? {
            Some(row) if !row.is_expired(self.clock.now()) => read(&row).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// When a result that is written now expires: a little later than its Task, because TTL deletes in any order.
    fn expires(&self, keep: Keep) -> Option<Timestamp> {
        let kept = match keep {
            Keep::ADay => Some(DAY + Duration::from_secs(3600)),
            Keep::AsTasks => self.retention.map(|retention| retention + DAY),
        };
        kept.map(|kept| self.clock.now().saturating_add(kept))
    }

    /// Another partition than the Task's, so that lists do not read over results.
    async fn key_of(&self, task: ObjectId, attempt: &AttemptToken) -> Result<Option<(String, String)>, StoreError> {
        let place = self.days.partition_of(task).await?;
        Ok(place.map(|(partition, _)| (format!("result:{partition}"), format!("{task}#{}", attempt.as_str()))))
    }
}

fn read(row: &Row) -> Result<ResultPlace, StoreError> {
    match row.optional_text("result")? {
        Some(json) => Json::parse(json.to_owned()).map(ResultPlace::Row).map_err(|error| row.corrupt(error)),
        None => Ok(ResultPlace::Object { key: row.parse("object")?, bytes: row.number("bytes")? }),
    }
}
