//! Code that was announced, and may be sent until it expires (contract §19).

use std::sync::Arc;

use tasklane_model::{Upload, UploadId};
use tasklane_ports::Clock;

use super::{
    StoreError,
    change::Condition,
    row::{EXPIRES, NewRow, json, number},
    table::Table,
};

/// The announced uploads. TTL removes them some time after they have expired.
#[derive(Clone)]
pub struct Uploads {
    pub(super) control: Table,
    pub(super) clock: Arc<dyn Clock>,
}

impl Uploads {
    /// Writes an upload down.
    pub async fn announce(&self, upload: &Upload) -> Result<(), StoreError> {
        let mut row = NewRow::new(partition(&upload.id), "-");
        row.set("upload", json(upload));
        row.set(EXPIRES, number(upload.expires.as_secs() + 1));
        // Its id is random, so there is no other one.
        self.control.put("announce an upload", row, Condition::default()).await.map(|_| ())
    }

    /// An upload that has not expired.
    pub async fn find(&self, id: &UploadId) -> Result<Option<Upload>, StoreError> {
        let Some(row) = self.control.get("look an upload up", &partition(id), "-").await? else { return Ok(None) };
        let upload: Upload = row.json("upload")?;
        Ok((self.clock.now() < upload.expires).then_some(upload))
    }
}

fn partition(id: &UploadId) -> String {
    format!("upload:{id}")
}
