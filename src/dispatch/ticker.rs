//! Periodic work: Tasks come due, Schedules create Tasks, dead runs are ended, unacknowledged events are published
//! again.

use std::{sync::Arc, time::Duration};

use tasklane_model::{TaskError, TaskErrorKind, task::ZOMBIE_ERROR_NAME};
use tasklane_ports::{Ports, Wakeup};
use tasklane_store::{Promoted, RunnerId, Store, StoreError, TaskRecord};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{FunctionDirectory, materialise, publish_failure};

/// How many rows are handled before the clock is read again.
const BATCH: usize = 100;

/// How long the process that recorded a failure has to publish it. Publishing it here before that would only duplicate
/// the event.
const BEING_PUBLISHED: Duration = Duration::from_secs(10);

/// The longest sleep of the local ticker: it looks for dead runs and unacknowledged events at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// How long the local ticker waits if something is due but could not be done.
const STUCK_SLEEP: Duration = Duration::from_secs(1);

/// Does the periodic work. Everything is safe to do twice, and concurrently with another ticker.
#[derive(Clone)]
pub struct Ticker {
    store: Store,
    ports: Ports,
    functions: Arc<FunctionDirectory>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Tasks that became due.
    pub promoted: usize,
    /// Tasks that Schedules created.
    pub scheduled: usize,
    /// Tasks that were ended because their runner died.
    pub zombies: usize,
    pub republished: usize,
}

impl Ticker {
    pub fn new(store: Store, ports: Ports, functions: Arc<FunctionDirectory>) -> Self {
        Self { store, ports, functions }
    }

    /// Does everything that is due now, and wakes a dispatcher if a Task became ready.
    ///
    /// # Errors
    /// The first one. Independent work goes on: an unreadable Schedule does not keep Tasks from becoming due.
    pub async fn tick(&self) -> Result<Ticked, StoreError> {
        let scheduled = self.materialise_schedules().await;
        let promoted = self.promote_due().await;
        let zombies = self.clean_expired_runs().await;
        let republished = self.republish().await;
        let ticked =
            Ticked { scheduled: scheduled?, promoted: promoted?, zombies: zombies?, republished: republished? };
        if ticked != Ticked::default() {
            info!(?ticked, "tick completed");
        }
        Ok(ticked)
    }

    /// Makes due Tasks ready, and wakes a dispatcher for them.
    pub async fn promote_due(&self) -> Result<usize, StoreError> {
        let mut promoted = Promoted::default();
        let done = self.promote_all(&mut promoted).await;
        self.wake_after(promoted.moved + promoted.found_ready, done).await?;
        Ok(promoted.moved)
    }

    async fn promote_all(&self, promoted: &mut Promoted) -> Result<(), StoreError> {
        loop {
            let batch = self.store.tasks.promote_due(self.ports.clock.now(), BATCH).await?;
            promoted.moved += batch.moved;
            promoted.found_ready += batch.found_ready;
            if batch.moved < BATCH {
                return Ok(());
            }
        }
    }

    pub async fn bury(&self, runner: &RunnerId) -> Result<usize, StoreError> {
        let records = self.store.tasks.runs_of(runner).await?;
        self.clean(records).await
    }

    /// Ticks whenever something is due, until `stop`. `changed` signals that something may be due earlier than
    /// expected.
    pub async fn run_until(&self, stop: &CancellationToken, changed: &Arc<Notify>) {
        while !stop.is_cancelled() {
            let changed = changed.notified();
            let sleep = match self.tick_and_look_ahead().await {
                Ok(next) => next,
                Err(error) => {
                    warn!(%error, "a tick failed; trying again");
                    STUCK_SLEEP
                }
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = self.ports.clock.sleep(sleep) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn tick_and_look_ahead(&self) -> Result<Duration, StoreError> {
        let began = self.ports.clock.now();
        let ticked = self.tick().await?;
        let waiting = self.store.tasks.earliest_waiting().await?;
        let schedule = self.store.schedules.earliest().await?;
        let next = waiting.into_iter().chain(schedule).min();
        if ticked == Ticked::default() && next.is_some_and(|next| next <= began) {
            // Something is due and this tick could not do it. Another ticker may have done it meanwhile; trying again
            // immediately would only be a busy loop.
            return Ok(STUCK_SLEEP);
        }
        let now = self.ports.clock.now();
        // One millisecond longer, because waking too early would only mean another look.
        Ok(next.map_or(LONGEST_SLEEP, |next| (next.since(now) + Duration::from_millis(1)).min(LONGEST_SLEEP)))
    }

    async fn materialise_schedules(&self) -> Result<usize, StoreError> {
        let mut created = 0;
        let done = self.materialise_all(&mut created).await;
        self.wake_after(created, done).await
    }

    async fn materialise_all(&self, created: &mut usize) -> Result<(), StoreError> {
        loop {
            let now = self.ports.clock.now();
            let due = self.store.schedules.due(now, BATCH).await?;
            for schedule in &due {
                let created_now = materialise(&self.store, &self.ports, &self.functions, schedule, now).await?;
                *created += usize::from(created_now);
            }
            if due.len() < BATCH {
                return Ok(());
            }
        }
    }

    async fn clean_expired_runs(&self) -> Result<usize, StoreError> {
        let mut cleaned = 0;
        loop {
            let records = self.store.tasks.expired_runs(self.ports.clock.now(), BATCH).await?;
            let found = records.len();
            cleaned += self.clean(records).await?;
            if found < BATCH {
                return Ok(cleaned);
            }
        }
    }

    async fn clean(&self, records: Vec<TaskRecord>) -> Result<usize, StoreError> {
        let mut cleaned = 0;
        let done = self.clean_all(records, &mut cleaned).await;
        self.wake_after(cleaned, done).await
    }

    async fn clean_all(&self, records: Vec<TaskRecord>, cleaned: &mut usize) -> Result<(), StoreError> {
        for TaskRecord { mut task, run, .. } in records {
            let Some(run) = run else { continue };
            let now = self.ports.clock.now();
            let error = TaskError {
                kind: TaskErrorKind::Runtime,
                name: ZOMBIE_ERROR_NAME.to_owned(),
                message: "The run's outcome is unknown: its runner stopped before reporting it.".to_owned(),
            };
            if self.store.tasks.fail(task.id, &run.attempt, &error, None, now).await? {
                warn!(task = %task.id, function = %task.function_name, "zombie task cleaned");
                task.error = Some(error);
                publish_failure(&self.store, &self.ports, &task).await;
                *cleaned += 1;
            }
        }
        Ok(())
    }

    /// One batch per tick: while the receiver is down, the same events are found each time.
    async fn republish(&self) -> Result<usize, StoreError> {
        let mut republished = 0;
        let now = self.ports.clock.now();
        for record in self.store.tasks.unpublished(BATCH).await? {
            // A failure time in the future does not make it recent: the clock was set back.
            let failed = record.task.status_changed_timestamp;
            if failed <= now && now.since(failed) < BEING_PUBLISHED {
                continue;
            }
            if !publish_failure(&self.store, &self.ports, &record.task).await {
                break;
            }
            republished += 1;
        }
        Ok(republished)
    }

    /// Wakes a dispatcher if the work may have made a Task ready. That includes failed work, which may have been done
    /// partly, or completely with its response lost.
    async fn wake_after(&self, count: usize, done: Result<(), StoreError>) -> Result<usize, StoreError> {
        if count > 0 || done.is_err() {
            self.wake().await;
        }
        done.map(|()| count)
    }

    async fn wake(&self) {
        if let Err(error) = self.ports.wakeups.wake(Wakeup::NOW).await {
            warn!(%error, "no wake-up was sent; the next tick or run will find the task");
        }
    }
}
