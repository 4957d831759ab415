//! What time does: Tasks come due, schedules materialise, dead runs end, unacknowledged events go out again.

use std::{sync::Arc, time::Duration};

use tasklane_model::{TaskError, TaskErrorKind, task::ZOMBIE_ERROR_NAME};
use tasklane_ports::{Ports, Wakeup};
use tasklane_store::{Promoted, RunnerId, Store, StoreError, TaskRecord};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{FunctionDirectory, materialise, publish_failure};

/// How many rows are handled between two looks at the clock.
const BATCH: usize = 100;

/// How long the process that recorded a failure has to publish it. To publish it here meanwhile would only repeat the event.
const BEING_PUBLISHED: Duration = Duration::from_secs(10);

/// The longest that the local ticker sleeps: it looks for dead runs and unacknowledged events at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// How long the local ticker leaves something alone that is due and could not be done.
const STUCK_SLEEP: Duration = Duration::from_secs(1);

/// Does what time does. Everything in it is safe to do twice, and beside another ticker.
#[derive(Clone)]
pub struct Ticker {
    store: Store,
    ports: Ports,
    functions: Arc<FunctionDirectory>,
}

/// What one tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Tasks that came due.
    pub promoted: usize,
    /// Tasks that schedules created.
    pub scheduled: usize,
    /// Tasks that were cleaned up because their runner died.
    pub zombies: usize,
    /// Events that were published again.
    pub republished: usize,
}

impl Ticker {
    /// Ticks for these.
    pub fn new(store: Store, ports: Ports, functions: Arc<FunctionDirectory>) -> Self {
        Self { store, ports, functions }
    }

    /// Does everything that is due now, and wakes a dispatcher when a Task became ready.
    ///
    /// # Errors
    /// The first one. What does not hang together goes on: a row that cannot be read among the schedules does not keep
    /// Tasks from coming due.
    pub async fn tick(&self) -> Result<Ticked, StoreError> {
        let scheduled = self.materialise_schedules().await;
        let promoted = self.promote_due().await;
        let zombies = self.clean_expired_runs().await;
        let republished = self.republish().await;
        let ticked =
            Ticked { scheduled: scheduled?, promoted: promoted?, zombies: zombies?, republished: republished? };
        if ticked != Ticked::default() {
            info!(?ticked, "ticked");
        }
        Ok(ticked)
    }

    /// Makes Tasks ready whose time has come, and wakes a dispatcher for them.
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

    /// Ends the Tasks of a runner that is known to be dead, without waiting for their leases.
    pub async fn bury(&self, runner: &RunnerId) -> Result<usize, StoreError> {
        let records = self.store.tasks.runs_of(runner).await?;
        self.clean(records).await
    }

    /// Ticks whenever something comes due, until `stop`. `changed` tells that something may come due earlier than was
    /// known.
    pub async fn run_until(&self, stop: &CancellationToken, changed: &Arc<Notify>) {
        while !stop.is_cancelled() {
            let changed = changed.notified();
            let sleep = match self.tick_and_look_ahead().await {
                Ok(next) => next,
                Err(error) => {
                    warn!(%error, "a tick did not come through; trying again");
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
            // Something is due and this tick could not do it. It may be another ticker's by now; at once again and
            // again would only be a busy loop.
            return Ok(STUCK_SLEEP);
        }
        let now = self.ports.clock.now();
        // A millisecond more than is left: waking before the time would only mean looking again.
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
                message: "The run's outcome is unknown: whatever ran it stopped before it could tell.".to_owned(),
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

    /// One batch a tick: while the receiver is down, the same events come up again and again.
    async fn republish(&self) -> Result<usize, StoreError> {
        let mut republished = 0;
        let now = self.ports.clock.now();
        for record in self.store.tasks.unpublished(BATCH).await? {
            // A failure of a later time than now is no fresh one: the clock was set back.
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

    /// Wakes a dispatcher when something was done that may let a Task run. What did not come through may have been done in
    /// part, or have been done and not answered: then too.
    async fn wake_after(&self, count: usize, done: Result<(), StoreError>) -> Result<usize, StoreError> {
        if count > 0 || done.is_err() {
            self.wake().await;
        }
        done.map(|()| count)
    }

    async fn wake(&self) {
        if let Err(error) = self.ports.wakeups.wake(Wakeup::NOW).await {
            warn!(%error, "no wake-up was sent; the next tick or run finds the task");
        }
    }
}
