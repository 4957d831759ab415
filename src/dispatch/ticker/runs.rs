//! Ends the Tasks of dead runs, and publishes failures whose event was not acknowledged.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tasklane_model::{Task, TaskError, TaskErrorKind, TaskStatus, Timestamp, task::ZOMBIE_ERROR_NAME};
use tasklane_store::{RunnerId, StoreError, TaskRecord};
use tracing::warn;

use super::{BATCH, Part, Ticker};
use crate::{following, publish_failure, wake_for_following};

/// How many failures are recorded and published at once. With about 50 ms each they are 160 a second, well below the 600
/// events a second that EventBridge accepts in its smaller regions.
const AT_ONCE: usize = 8;

/// How many refused events end the publishing in a tick: then the receiver is down, and each further attempt would fail,
/// too. A few events that are refused for a reason of their own do not stop the others.
const MOST_REFUSED: usize = 10;

/// How long the process that recorded a failure has to publish it. Publishing it here before that would only duplicate
/// the event.
const BEING_PUBLISHED: Duration = Duration::from_secs(10);

impl Ticker {
    /// Ends the Tasks of a process that is known to be dead, without waiting for the ends of their leases. Returns how many
    /// it ended.
    pub async fn bury(&self, runner: &RunnerId) -> Result<usize, StoreError> {
        let records = self.store.tasks.runs_of(runner).await?;
        let mut part = Part::new("burial", &self.ports.clock, Timestamp::LATEST);
        self.clean(records, &mut part).await;
        let Part { done, error, .. } = part.end();
        error.map_or(Ok(done), Err)
    }

    pub(super) async fn clean_expired_runs(&self, ends: Timestamp) -> Part {
        let mut part = Part::new("zombies", &self.ports.clock, ends);
        while part.has_time() {
            let records = match self.store.tasks.expired_runs(self.ports.clock.now(), BATCH).await {
                Ok(records) => records,
                Err(error) => {
                    part.fail(error);
                    break;
                }
            };
            let (found, before) = (records.len(), part.done);
            self.clean(records, &mut part).await;
            // The same rows would be found again if none of them could be ended.
            if found < BATCH || part.done == before {
                break;
            }
        }
        part
    }

    async fn clean(&self, records: Vec<TaskRecord>, part: &mut Part) {
        let before = part.attempts();
        part.each(records, AT_ONCE, |record| self.end_zombie(record)).await;
        self.wake_after(part, before).await;
    }

    async fn end_zombie(&self, record: TaskRecord) -> Result<bool, StoreError> {
        let TaskRecord { mut task, run, .. } = record;
        let Some(run) = run else { return Ok(false) };
        let now = self.ports.clock.now();
        let error = TaskError {
            kind: TaskErrorKind::Runtime,
            name: ZOMBIE_ERROR_NAME.to_owned(),
            message: "The run's outcome is unknown: its runner stopped before reporting it.".to_owned(),
        };
        task.status = TaskStatus::Failed;
        (task.status_changed_timestamp, task.update_timestamp) = (now, now);
        task.error = Some(error.clone());
        let then = following(&self.store, &self.ports, &task, None, now).await;
        if !self.store.tasks.fail_then(task.id, &run.attempt, &error, None, then.as_ref(), now).await? {
            return Ok(false);
        }
        wake_for_following(&self.ports, then.as_ref()).await;
        warn!(task = %task.id, function = %task.function_name, "zombie task cleaned");
        publish_failure(&self.store, &self.ports, &task).await;
        Ok(true)
    }

    /// Publishes events that were not acknowledged, until the receiver refuses some.
    pub(super) async fn republish(&self, ends: Timestamp) -> Part {
        let mut part = Part::new("events", &self.ports.clock, ends);
        let refused = AtomicUsize::new(0);
        while part.has_time() {
            let records = match self.store.tasks.unpublished(BATCH).await {
                Ok(records) => records,
                Err(error) => {
                    part.fail(error);
                    break;
                }
            };
            let (found, before) = (records.len(), part.done);
            let now = self.ports.clock.now();
            let tasks: Vec<_> =
                records.into_iter().map(|record| record.task).filter(|task| is_left(task, now)).collect();
            let refused = &refused;
            let publish = |task: Task| async move {
                if refused.load(Ordering::Relaxed) >= MOST_REFUSED {
                    return Ok(false);
                }
                let published = publish_failure(&self.store, &self.ports, &task).await;
                refused.fetch_add(usize::from(!published), Ordering::Relaxed);
                Ok(published)
            };
            part.each(tasks, AT_ONCE, publish).await;
            let is_down = refused.load(Ordering::Relaxed) >= MOST_REFUSED;
            if found < BATCH || part.done == before || is_down {
                break;
            }
        }
        part
    }
}

/// Whether nobody is publishing this failure any more.
fn is_left(task: &Task, now: Timestamp) -> bool {
    let failed = task.status_changed_timestamp;
    // A failure time in the future does not make it recent: the clock was set back.
    failed > now || now.since(failed) >= BEING_PUBLISHED
}
