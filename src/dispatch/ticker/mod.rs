//! Periodic work: Tasks come due, Schedules create Tasks, dead runs are ended, unacknowledged events are published
//! again.
//!
//! The parts of a tick run at the same time. They depend on each other in nothing: each moves rows of a lane of its own,
//! by conditional writes that allow for other tickers and dispatchers anyway. So none of them waits for another that has
//! much to do, and the process waits for the database only once.

mod ahead;
mod expiry;
mod gates;
mod part;
mod runs;
mod schedules;
mod up;

pub use ahead::wake_for_occurrences;

use std::{sync::Arc, time::Duration};

use tasklane_model::Timestamp;
use tasklane_ports::{Ports, Wakeup};
use tasklane_runtime::lock::Lock;
use tasklane_store::{DuePosition, Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{BulkWorker, FunctionDirectory, occurrences::MISSED_AFTER};
use part::Part;
use up::Up;

/// How many rows are read at once. With the most `data` that a Schedule may have, they are 25 MB.
const BATCH: usize = 100;

/// How long each part of a tick may take. A tick comes each minute and its process has 55 s (`template.yaml`); this leaves
/// 15 s for its start, for the calls in progress when the time is over, and for what follows a tick.
pub const TICK_BUDGET: Duration = Duration::from_secs(40);

/// How long each part may take in a process whose ticks follow one another. A Task that comes due during a tick waits for
/// the next one, so a tick must be short.
const LOOP_BUDGET: Duration = Duration::from_secs(1);

/// The longest sleep of the local ticker: it looks for dead runs and unacknowledged events at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// How long the local ticker waits if something is due but could not be done.
const STUCK_SLEEP: Duration = Duration::from_secs(1);

/// How often the lanes of single Functions are gone through.
const LANES_EVERY: Duration = Duration::from_secs(50);

/// Does the periodic work. Everything is safe to do twice, and concurrently with another ticker.
#[derive(Clone)]
pub struct Ticker {
    store: Store,
    ports: Ports,
    functions: Arc<FunctionDirectory>,
    /// Where the last tick had no more time for the due Schedules.
    cut_at: Arc<Lock<Option<DuePosition>>>,
    /// When lanes were last gone through.
    lanes_at: Arc<Lock<Option<Timestamp>>>,
    bulk: BulkWorker,
}

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Tasks that became due.
    pub promoted: usize,
    /// Tasks that Schedules created.
    pub scheduled: usize,
    /// Tasks that were ended because their runner died.
    pub zombies: usize,
    /// Tasks that may have waited longer than they may, and were examined.
    pub expired: usize,
    /// Events that were published again.
    pub republished: usize,
    /// Gates of flow keys that were looked at.
    pub gates: usize,
    /// Slices of bulk operations that were finished.
    pub bulk_slices: usize,
    /// Whether a part used up its time before its work. The next tick does the rest.
    pub is_cut: bool,
}

/// Something in a tick failed. Everything else was done.
#[derive(Debug, thiserror::Error)]
#[error("{first}")]
pub struct TickError {
    /// What was done nevertheless.
    pub ticked: Ticked,
    /// The first error.
    pub first: StoreError,
}

impl Ticker {
    pub fn new(store: Store, ports: Ports, functions: Arc<FunctionDirectory>) -> Self {
        let bulk = BulkWorker::new(store.clone(), ports.clone(), Arc::clone(&functions));
        Self { store, ports, functions, cut_at: Arc::default(), lanes_at: Arc::default(), bulk }
    }

    /// Does everything that is due now, and wakes a dispatcher after each batch that may have made a Task ready. Each part
    /// ends after [`TICK_BUDGET`]; the next tick does the rest. Bulk operations are worked on, too: unlike everything else
    /// they are never done soon, so a process whose ticks follow one another has a loop of its own for them.
    ///
    /// # Errors
    /// The first one; the others are logged. Independent work goes on: an unreadable Schedule stops neither the other
    /// Schedules nor Tasks from becoming due.
    pub async fn tick(&self) -> Result<Ticked, TickError> {
        let now = self.ports.clock.now();
        let ends = now.saturating_add(TICK_BUDGET);
        let (ticked, bulk, ahead) = futures::join!(
            self.tick_until(ends, now.saturating_sub(MISSED_AFTER)),
            self.bulk.work_until(ends),
            self.wake_ahead(ends)
        );
        if let Some(error) = ahead.end().error {
            warn!(%error, "wake-ups for what is due before the next tick are missing");
        }
        match (ticked, bulk) {
            (Ok(ticked), Ok(bulk)) => Ok(Ticked { bulk_slices: bulk.slices, ..ticked }),
            (Ok(ticked), Err(first)) => Err(TickError { ticked, first }),
            (Err(error), Ok(_)) => Err(error),
            (Err(first), Err(error)) => {
                warn!(%error, "another part of the tick failed, too");
                Err(first)
            }
        }
    }

    /// Occurrences of Schedules before `missed_before` were missed while nothing ran.
    async fn tick_until(&self, ends: Timestamp, missed_before: Timestamp) -> Result<Ticked, TickError> {
        let (scheduled, promoted, zombies, expired, republished, gates, lanes) = futures::join!(
            self.materialise_schedules(ends, missed_before),
            self.promote_due(ends),
            self.clean_expired_runs(ends),
            self.expire_queued(ends),
            self.republish(ends),
            self.look_at_gates(ends),
            self.forget_lanes(ends),
        );
        let ticked = Ticked {
            promoted: promoted.done,
            scheduled: scheduled.done,
            zombies: zombies.done,
            expired: expired.done,
            republished: republished.done,
            gates: gates.done,
            bulk_slices: 0,
            is_cut: [&scheduled, &promoted, &zombies, &expired, &republished, &gates].iter().any(|part| part.is_cut),
        };
        if ticked != Ticked::default() {
            info!(?ticked, "tick completed");
        }
        let mut errors = [scheduled, promoted, zombies, expired, republished, gates, lanes]
            .into_iter()
            .filter_map(|part| part.end().error);
        let Some(first) = errors.next() else { return Ok(ticked) };
        for error in errors {
            warn!(%error, "another part of the tick failed, too");
        }
        Err(TickError { ticked, first })
    }

    /// Does what is due now, apart from bulk operations, in a process that has been at work since `up_since`, and for a moment
    /// at most: what the ticks of [`Ticker::run_until`] do.
    ///
    /// # Errors
    /// As those of [`Ticker::tick`].
    pub async fn look(&self, up_since: Timestamp) -> Result<Ticked, TickError> {
        self.tick_until(self.ports.clock.now().saturating_add(LOOP_BUDGET), up_since).await
    }

    /// Ticks whenever something is due, until `stop`. `changed` signals that something may be due earlier than
    /// expected.
    pub async fn run_until(&self, stop: &CancellationToken, changed: &Arc<Notify>) {
        let mut up = Up::since(self.ports.clock.now(), self.ports.clock.longest_jump());
        while !stop.is_cancelled() {
            let changed = changed.notified();
            let sleep = match self.tick_and_look_ahead(&mut up).await {
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

    async fn tick_and_look_ahead(&self, up: &mut Up) -> Result<Duration, StoreError> {
        let began = self.ports.clock.now();
        let ticked = match self.tick_until(began.saturating_add(LOOP_BUDGET), up.is_up_at(began)).await {
            Ok(ticked) => ticked,
            // What fails now may fail each time, and must not delay the rest.
            Err(TickError { ticked, first: error }) if ticked.has_more_to_do() => {
                warn!(%error, "a part of a tick failed");
                ticked
            }
            Err(TickError { first, .. }) => return Err(first),
        };
        if ticked.has_more_to_do() {
            return Ok(Duration::ZERO);
        }
        let next = self.next_due().await?;
        if !ticked.did_anything() && next.is_some_and(|next| next <= began) {
            // Something is due and this tick could not do it. Another ticker may have done it meanwhile; trying again
            // immediately would only be a busy loop.
            return Ok(STUCK_SLEEP);
        }
        let now = self.ports.clock.now();
        // One millisecond longer, because waking too early would only mean another look.
        Ok(next.map_or(LONGEST_SLEEP, |next| (next.since(now) + Duration::from_millis(1)).min(LONGEST_SLEEP)))
    }

    /// When the next thing is due that a tick does: a Task, an occurrence, the end of a Task's patience, or a look at a gate.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let waiting = self.store.tasks.earliest_waiting().await?;
        let schedule = self.store.schedules.earliest().await?;
        let expiring = self.store.tasks.earliest_expiring().await?;
        let gate = self.earliest_gate().await?;
        Ok(waiting.into_iter().chain(schedule).chain(expiring).chain(gate).min())
    }

    /// Makes due Tasks ready, and wakes a dispatcher for them.
    async fn promote_due(&self, ends: Timestamp) -> Part {
        let mut part = Part::new("promotion", &self.ports.clock, ends);
        while part.has_time() {
            match self.store.tasks.promote_due(self.ports.clock.now(), BATCH).await {
                Ok(batch) => {
                    part.done += batch.moved;
                    if batch.moved + batch.found_ready > 0 {
                        self.wake().await;
                    }
                    if batch.moved < BATCH {
                        break;
                    }
                }
                Err(error) => {
                    part.fail(error);
                    self.wake().await;
                    break;
                }
            }
        }
        part
    }

    /// Forgets the lanes of single Functions that are no longer used, so that a look at the queue need not read them.
    async fn forget_lanes(&self, ends: Timestamp) -> Part {
        let mut part = Part::new("lanes", &self.ports.clock, ends);
        let now = self.ports.clock.now();
        {
            let mut lanes_at = self.lanes_at.lock();
            if lanes_at.is_some_and(|last| last <= now && now.since(last) < LANES_EVERY) {
                return part;
            }
            *lanes_at = Some(now);
        }
        match self.store.tasks.forget_idle_lanes().await {
            Ok(forgotten) => part.done += forgotten,
            Err(error) => part.fail(error),
        }
        part
    }

    /// Wakes a dispatcher if a batch may have made a Task ready. That includes failed work, which may have been done
    /// completely with its response lost.
    async fn wake_after(&self, part: &Part, attempts_before: usize) {
        if part.attempts() > attempts_before {
            self.wake().await;
        }
    }

    async fn wake(&self) {
        if let Err(error) = self.ports.wakeups.wake(Wakeup::NOW).await {
            warn!(%error, "no wake-up was sent; the next tick or run will find the task");
        }
    }
}

impl Ticked {
    /// Whether anything was done.
    pub fn did_anything(&self) -> bool {
        self.promoted + self.scheduled + self.zombies + self.expired + self.republished + self.gates > 0
    }

    /// Whether another tick would do more at once. A tick that only failed would fail again.
    fn has_more_to_do(&self) -> bool {
        self.is_cut && self.did_anything()
    }
}
