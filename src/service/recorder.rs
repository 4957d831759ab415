//! Writes API Request records that no caller waits for, in batches of a few milliseconds.

use std::{mem, time::Duration};

use tasklane_model::ApiRequest;
use tasklane_runtime::lock::Lock;
use tasklane_store::ApiRequests;
use tracing::warn;

/// How long the first record waits for others. Each write is a sync of the disk, which the calls themselves need.
pub(super) const GATHER: Duration = Duration::from_millis(10);

/// Records that are not written yet.
pub(super) struct Recorder {
    store: ApiRequests,
    waiting: Lock<Vec<ApiRequest>>,
    /// Locked while a batch is written: the holder of the lock knows that all earlier batches are written.
    writing: tokio::sync::Mutex<()>,
}

impl Recorder {
    pub(super) fn new(store: ApiRequests) -> Self {
        Self { store, waiting: Lock::default(), writing: tokio::sync::Mutex::default() }
    }

    /// Adds a record. `true` if it is the first one waiting; then the caller must call [`Recorder::write`] after
    /// [`GATHER`].
    #[must_use]
    pub(super) fn add(&self, record: ApiRequest) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.push(record);
        waiting.len() == 1
    }

    /// Writes the records added so far. A record that cannot be written is lost; it never makes a call fail.
    pub(super) async fn write(&self) {
        let _turn = self.writing.lock().await;
        let records = mem::take(&mut *self.waiting.lock());
        if let (Err(error), Some(first)) = (self.store.put_all(&records).await, records.first()) {
            warn!(%first.id, %error, "records of API requests were lost, at most {}", records.len());
        }
    }
}
