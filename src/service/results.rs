//! What became of a Task: waiting for it, and the result of its run (contract §12).

use std::time::Duration;

use tasklane_dispatch::{KeptResult, kept_result, read_result};
use tasklane_model::{Error, ErrorKind, Json, ObjectId, Result, Task, TaskStatus};
use tasklane_runtime::backoff::Backoff;
use tasklane_store::TaskRecord;

use super::Service;

/// Results above this size are fetched from where they are stored, if that can be reached: a Lambda handler's response has
/// at most 6 MB, and JSON in JSON takes more.
const SENT_UP_TO: u64 = 3 * 1024 * 1024;

/// How long a caller waits between two looks at a Task.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The result of a Task.
#[derive(Debug)]
pub enum TaskResult {
    /// The JSON that its run returned.
    Json(Json),
    /// The JSON can be read from this URL, without a credential and for some minutes.
    At(String),
}

impl Service {
    /// A Task as soon as it is final, or as it is after `wait`; 16 when there is none.
    pub async fn get_task(&self, id: ObjectId, wait: Duration) -> Result<Task> {
        let record = self.inner.store.tasks.get(id).await?.ok_or_else(|| Error::unknown("task", id))?;
        let wait = wait.min(self.inner.settings.longest_wait);
        Ok(self.when_final(record, Some(wait)).await?.task)
    }

    /// The result of a Task; 16 when there is none.
    pub async fn task_result(&self, id: ObjectId) -> Result<TaskResult> {
        let record = self.inner.store.tasks.get(id).await?.ok_or_else(|| Error::unknown("task", id))?;
        if record.task.status != TaskStatus::Complete {
            return Err(no_result(format!("The task '{id}' has no result, because it is {}.", record.task.status)));
        }
        let not_kept = || {
            let why = "The result was not kept: create the task with 'storeResult', or set that for its function.";
            no_result(format!("The task '{id}' is complete. {why}"))
        };
        let kept = kept_result(&self.inner.store, &record).await.map_err(Error::internal)?.ok_or_else(not_kept)?;
        if let KeptResult::Object(key, bytes) = &kept
            && *bytes > SENT_UP_TO
            && let Some(url) = self.inner.ports.objects.object_url(key).await.map_err(Error::internal)?
        {
            return Ok(TaskResult::At(url));
        }
        let result = read_result(&self.inner.ports, kept).await.map_err(Error::internal)?;
        result.map(TaskResult::Json).ok_or_else(not_kept)
    }

    /// The Task as soon as it is final, or as it is after `patience`.
    pub(super) async fn when_final(&self, mut record: TaskRecord, patience: Option<Duration>) -> Result<TaskRecord> {
        let clock = &self.inner.ports.clock;
        let until = patience.map(|patience| clock.now().saturating_add(patience));
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while !record.task.status.is_final() {
            let mut pause = pauses.pause();
            if let Some(until) = until {
                let left = until.since(clock.now());
                if left.is_zero() {
                    break;
                }
                pause = pause.min(left);
            }
            clock.sleep(pause).await;
            let now = self.inner.store.tasks.get(record.task.id).await?;
            record = now.ok_or_else(|| Error::unknown("task", record.task.id))?;
        }
        Ok(record)
    }
}

fn no_result(message: String) -> Error {
    Error::new(ErrorKind::ResourceUnknown, message)
}
