//! Ends the Tasks of dead runs, and publishes again what was not acknowledged.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tasklane_model::{Task, TaskError, TaskErrorKind, TaskStatus, Timestamp, task::ZOMBIE_ERROR_NAME};
use tasklane_store::{Consequences, RunnerId, StoreError, TaskRecord};
use tracing::warn;

use super::{BATCH, Part, Ticker};
use crate::{following, publish_end, release, wake_for_following};

/// How many ends are recorded and published at once. With about 50 ms each they are 160 a second, well below the 600
/// events a second that EventBridge accepts in its smaller regions.
const AT_ONCE: usize = 8;

/// How many refused events end the publishing in a tick: then the receiver is down, and each further attempt would fail,
/// too. A few events that are refused for a reason of their own do not stop the others.
const MOST_REFUSED: usize = 10;

/// How long the process that recorded an end has to publish it. Publishing it here before that would only duplicate
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
        let TaskRecord { task, run, .. } = record;
        let Some(run) = run else { return Ok(false) };
        let now = self.ports.clock.now();
        let error = TaskError {
            kind: TaskErrorKind::Runtime,
            name: ZOMBIE_ERROR_NAME.to_owned(),
            message: "The run's outcome is unknown: its runner stopped before reporting it.".to_owned(),
        };
        let task = task.ended(TaskStatus::Failed, Some(error.clone()), now);
        let then = following(&self.store, &self.ports, &task, None, now).await;
        // Nobody knows whether its start was published.
        let events = task.options.events.at_end(TaskStatus::Failed, false);
        let consequences = Consequences { then: then.as_ref(), events, ran: None };
        if !self.store.tasks.fail_then(task.id, &run.attempt, &error, None, consequences, now).await? {
            return Ok(false);
        }
        wake_for_following(&self.ports, then.as_ref()).await;
        warn!(task = %task.id, function = %task.function_name, "zombie task cleaned");
        publish_end(&self.store, &self.ports, &task, Some(run.started), events).await;
        release(&self.store, &self.ports, &self.functions, &task, None).await;
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
            let left: Vec<_> = records.into_iter().filter(|record| is_left(&record.task, now)).collect();
            let refused = &refused;
            let publish = |record: TaskRecord| async move {
                if refused.load(Ordering::Relaxed) >= MOST_REFUSED {
                    return Ok(false);
                }
                let TaskRecord { task, run, unpublished, .. } = record;
                let started = run.map(|run| run.started);
                let published = publish_end(&self.store, &self.ports, &task, started, unpublished).await;
                refused.fetch_add(usize::from(!published), Ordering::Relaxed);
                Ok(published)
            };
            part.each(left, AT_ONCE, publish).await;
            let is_down = refused.load(Ordering::Relaxed) >= MOST_REFUSED;
            if found < BATCH || part.done == before || is_down {
                break;
            }
        }
        part
    }
}

/// Whether the process that ended this Task has had the time to publish that.
fn is_left(task: &Task, now: Timestamp) -> bool {
    let ended = task.status_changed_timestamp;
    // An end in the future does not make it recent: the clock was set back.
    ended > now || now.since(ended) >= BEING_PUBLISHED
}
