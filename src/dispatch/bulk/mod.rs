//! Works on bulk operations, slice by slice (contract §17).
//!
//! On one machine a loop of its own does this, on AWS the ticker and dispatchers that have nothing else to do. Which of
//! them makes no difference: what was done is written down with each slice, and an operation belongs to one of them at a
//! time.

mod act;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use tasklane_model::{Bulk, BulkSelection, BulkStatus, ObjectId, Timestamp};
use tasklane_ports::{Ports, Wakeup};
use tasklane_rql::{Filter, Query, Schema};
use tasklane_store::{BulkSpec, BulkTaken, BulkWork, Slice, Store, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::FunctionDirectory;
use act::{Acts, Outcome};

/// How many Tasks a slice has at most.
const SLICE: u64 = 100;
/// How many of them are acted on at once.
const AT_ONCE: usize = 16;
/// How long one look for the Tasks of a slice may take; then the slice has those that were found.
const LOOK: Duration = Duration::from_secs(2);
/// How long to wait for the time of the next slice, instead of leaving the operation to somebody else.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much the clocks of two processes may differ.
const MOST_SKEW: Duration = Duration::from_secs(10);
/// How long the loop of one machine waits before it looks for operations.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long a bulk operation may be worked on before others have their turn.
const TURN: Duration = Duration::from_secs(2);

/// Works on bulk operations. Everything is safe to do twice, and beside others.
#[derive(Clone)]
pub struct BulkWorker {
    store: Store,
    ports: Ports,
    functions: Arc<FunctionDirectory>,
}

/// What came of a turn at bulk operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkWorked {
    /// How many slices were finished.
    pub slices: usize,
    /// Whether more could be done at once.
    pub has_more: bool,
}

impl BulkWorker {
    /// Reads the Functions of replayed Tasks in `functions`.
    pub fn new(store: Store, ports: Ports, functions: Arc<FunctionDirectory>) -> Self {
        Self { store, ports, functions }
    }

    /// Works until this time, or until nothing can be done now. An operation that cannot go on does not stop the others.
    ///
    /// # Errors
    /// The first one, after every operation had its turn.
    pub async fn work_until(&self, ends: Timestamp) -> Result<BulkWorked, StoreError> {
        // Of its own, because several may be at work in one process.
        let worker = self.ports.ids.next(self.ports.clock.now()).to_string();
        self.work_as(&worker, ends).await
    }

    /// Whether an operation has not ended.
    pub async fn has_work(&self) -> Result<bool, StoreError> {
        Ok(!self.store.bulks.running().await?.is_empty())
    }

    /// Works until `stop`, on a machine whose only process this is. It goes on at once with what an earlier process of the
    /// machine had begun.
    pub async fn run_until(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let ends = self.ports.clock.now().saturating_add(TURN);
            let pause = match self.work_as("machine", ends).await {
                Ok(BulkWorked { has_more: true, .. }) => Duration::ZERO,
                Ok(_) => LOOK_AGAIN,
                Err(error) => {
                    warn!(%error, "a bulk operation cannot go on; trying again");
                    LOOK_AGAIN
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = self.ports.clock.sleep(pause) => {}
            }
        }
    }

    async fn work_as(&self, worker: &str, ends: Timestamp) -> Result<BulkWorked, StoreError> {
        let mut worked = BulkWorked::default();
        let mut first_error = None;
        let running = self.store.bulks.running().await?;
        let share = self.share_of_time(ends, running.len());
        for id in running {
            let now = self.ports.clock.now();
            if now >= ends {
                worked.has_more = true;
                break;
            }
            match self.work_on(id, worker, now.saturating_add(share).min(ends)).await {
                Ok(one) => {
                    worked.slices += one.slices;
                    worked.has_more |= one.has_more;
                }
                Err(error) if first_error.is_none() => first_error = Some(error),
                Err(error) => warn!(operation = %id, %error, "another bulk operation cannot go on, either"),
            }
        }
        first_error.map_or(Ok(worked), Err)
    }

    /// How long each of the operations may be worked on.
    fn share_of_time(&self, ends: Timestamp, operations: usize) -> Duration {
        let left = ends.since(self.ports.clock.now());
        left / u32::try_from(operations.max(1)).unwrap_or(u32::MAX)
    }

    async fn work_on(&self, id: ObjectId, worker: &str, ends: Timestamp) -> Result<BulkWorked, StoreError> {
        let mut work = match self.store.bulks.take(id, worker).await? {
            BulkTaken::Work(work) => *work,
            BulkTaken::Busy | BulkTaken::Ended => return Ok(BulkWorked::default()),
        };
        let worked = self.work_through(&mut work, ends).await;
        if !work.is_over() {
            // Even after an error, so that somebody else can try.
            self.store.bulks.give_back(work).await?;
        }
        worked
    }

    async fn work_through(&self, work: &mut BulkWork, ends: Timestamp) -> Result<BulkWorked, StoreError> {
        let mut worked = BulkWorked::default();
        let Some(spec) = self.store.bulks.spec(work.bulk.id).await? else {
            self.give_up(work, "what it is about is not known any more").await?;
            return Ok(worked);
        };
        let filter = match &spec.selection {
            BulkSelection::Ids(_) => None,
            BulkSelection::Rql(rql) => match Query::parse(rql, &Schema::TASKS) {
                Ok(query) => query.filter,
                Err(error) => {
                    self.give_up(work, error.message()).await?;
                    return Ok(worked);
                }
            },
        };
        if work.slice.is_none() {
            self.begin_slice(work, &spec, filter.as_ref(), ends).await?;
            if !self.store.bulks.save(work).await? {
                return Ok(worked);
            }
        }
        while work.slice.is_some() {
            let Some(outcomes) = self.act(work, &spec).await? else { return Ok(worked) };
            work.end_slice(outcomes, self.ports.clock.now());
            // One write for the end of this slice and the beginning of the next one.
            self.begin_slice(work, &spec, filter.as_ref(), ends).await?;
            if !self.store.bulks.save(work).await? {
                // It was stopped meanwhile, or another process goes on: what was done is recognised when the slice is repeated.
                worked.has_more = true;
                return Ok(worked);
            }
            worked.slices += 1;
        }
        let Bulk { id, status, done, .. } = work.bulk;
        if work.is_over() {
            info!(operation = %id, ?status, done, "bulk operation ended");
        } else {
            worked.has_more = work.next_at.is_none_or(|next| next <= self.ports.clock.now());
        }
        Ok(worked)
    }

    /// Chooses the Tasks of the next slice, unless it is not its time yet, or there is no time left for it.
    async fn begin_slice(
        &self,
        work: &mut BulkWork,
        spec: &BulkSpec,
        filter: Option<&Filter>,
        ends: Timestamp,
    ) -> Result<(), StoreError> {
        let mut now = self.ports.clock.now();
        if work.bulk.status != BulkStatus::Running || now >= ends {
            return Ok(());
        }
        if work.bulk.creation_timestamp.saturating_add(tasklane_store::bulks::LONGEST) <= now {
            work.bulk.end(BulkStatus::Stopped, now);
            return Ok(());
        }
        if let Some(next) = work.next_at.filter(|next| *next > now) {
            if next > ends || next.since(now) > PATIENCE {
                return Ok(());
            }
            self.ports.clock.sleep(next.since(now)).await;
            now = self.ports.clock.now();
        }
        let per_second = work.bulk.per_second.map(|per_second| u64::from(per_second.get()));
        let limit = per_second.map_or(SLICE, |per_second| per_second.min(SLICE));
        let (ids, next) = match &spec.selection {
            BulkSelection::Ids(ids) => {
                let mut rest = ids.iter().copied().filter(|id| work.cursor.is_none_or(|last| *id > last)).peekable();
                let ids: Vec<_> = rest.by_ref().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
                let next = ids.last().copied().filter(|_| rest.peek().is_some());
                (ids, next)
            }
            BulkSelection::Rql(_) => {
                let Some(filter) = filter else { return Ok(()) };
                let found = self.store.tasks.matching(filter, (work.cursor, Some(work.bulk.id)), limit, LOOK).await?;
                (found.ids, found.next)
            }
        };
        work.next_at = per_second.map(|per_second| {
            let millis = (ids.len() as u64 * 1000).div_ceil(per_second);
            now.saturating_add(Duration::from_millis(millis))
        });
        // The Tasks that it creates are younger than itself, whatever the clocks say, so that it does not find them.
        let at = now.max(work.bulk.id.time().saturating_add(Duration::from_millis(1)));
        work.slice = Some(Slice { at, ids, next });
        Ok(())
    }

    /// Acts on the Tasks of the slice, and wakes a dispatcher for them. `None` if this process took too long, so that
    /// another one may be at work.
    async fn act(&self, work: &BulkWork, spec: &BulkSpec) -> Result<Option<Vec<Outcome>>, StoreError> {
        let Some(slice) = &work.slice else { return Ok(Some(Vec::new())) };
        // Nothing is done before its time.
        let early = slice.at.since(self.ports.clock.now());
        if !early.is_zero() {
            self.ports.clock.sleep(early.min(MOST_SKEW)).await;
        }
        let acts = Acts {
            store: &self.store,
            ports: &self.ports,
            functions: &self.functions,
            operation: work.bulk.id,
            order: &spec.order,
            origin: &work.bulk.origin,
            at: slice.at,
        };
        let clock = &self.ports.clock;
        let act = |id: ObjectId| {
            let acts = &acts;
            async move { if clock.now() < work.leased_until { Some(acts.on(id).await) } else { None } }
        };
        // Collected first, because the compiler does not accept a stream of closures that borrow here.
        let each: Vec<_> = slice.ids.iter().copied().map(act).collect();
        let outcomes: Vec<_> = stream::iter(each).buffer_unordered(AT_ONCE).collect().await;
        if !slice.ids.is_empty() {
            self.wake(work.bulk.start_timestamp).await;
        }
        outcomes.into_iter().map(Option::transpose).collect::<Result<Option<Vec<_>>, _>>()
    }

    /// Wakes a dispatcher for the Tasks of a slice, even if some acts failed: the Tasks may be there nevertheless.
    async fn wake(&self, start: Option<Timestamp>) {
        let delay = start.map_or(Duration::ZERO, |start| start.since(self.ports.clock.now()));
        let wakeups = &self.ports.wakeups;
        let woken = wakeups.wake(Wakeup { delay, task: None }).await;
        if let Err(error) = woken.and(wakeups.times_changed().await) {
            warn!(%error, "no wake-up was sent; the ticker will find the tasks");
        }
    }

    async fn give_up(&self, work: &mut BulkWork, why: &str) -> Result<(), StoreError> {
        warn!(operation = %work.bulk.id, why, "a bulk operation cannot go on, and is stopped");
        work.slice = None;
        work.bulk.end(BulkStatus::Stopped, self.ports.clock.now());
        self.store.bulks.save(work).await.map(|_| ())
    }
}
