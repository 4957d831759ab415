//! What `tasklane dev --test-clock` adds: a clock that can be set forward, and runs that fail when a test asks for it.
//!
//! Setting the clock forward goes through every moment at which something is due, and waits at each until nothing is left
//! to do there. So an hour of a Schedule with six occurrences creates six Tasks at their times, as if the hour had passed, and
//! Functions have the real time that they need: a run never sees the clock jump, unless it began while the clock was being set.
//! Even then it lives on, because its lease allows for the longest jump.

mod clock;
mod runs;

pub use clock::AdjustableClock;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tasklane_dispatch::{BulkWorker, Claimed, Dispatcher, TickError, Ticker};
use tasklane_lambda_local::LogSink;
use tasklane_model::{Advance, Advanced, Error, ErrorKind, Failures, FunctionName, Result, Timestamp};
use tasklane_ports::{Clock as _, Lambda, PortFuture};
use tasklane_service::{Core, Rehearsal};
use tasklane_store::{RunnerId, Store, StoreError};
use tokio::{
    sync::{Mutex, Notify},
    time::Instant,
};
use tracing::warn;

use clock::LinesAhead;
use runs::{RehearsedLambda, Runs};

/// How long the service may take to do what is due: longer than the longest run.
const PATIENCE: Duration = Duration::from_secs(6 * 60);

/// How long to wait before looking again whether runs have ended. They take milliseconds at least.
const PAUSE: Duration = Duration::from_millis(2);

/// How far to go on if something is due but cannot be done now.
const STUCK: Duration = Duration::from_secs(1);

/// The clock and the failures of a service that was started for tests.
#[derive(Debug, Default)]
pub struct LocalRehearsal {
    clock: AdjustableClock,
    runs: Arc<Runs>,
    /// Set once the service is assembled, before it gets its first request.
    engine: OnceLock<Engine>,
    /// How many runs had begun when the clock was set last. Held while it is being set, because others would wait for each
    /// other's runs.
    turn: Mutex<u64>,
}

/// The parts of the service that do what is due.
struct Engine {
    store: Store,
    dispatcher: Dispatcher,
    ticker: Ticker,
    bulk: BulkWorker,
    runner: RunnerId,
    woken: Arc<Notify>,
    /// Occurrences before that were missed.
    up_since: Timestamp,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl LocalRehearsal {
    /// The clock of the service.
    pub fn clock(&self) -> AdjustableClock {
        self.clock.clone()
    }

    /// The same Lambda, some of whose runs fail.
    pub fn lambda(&self, lambda: Arc<dyn Lambda>) -> Arc<dyn Lambda> {
        Arc::new(RehearsedLambda { lambda, runs: Arc::clone(&self.runs) })
    }

    /// The same log, with the time of the service's clock.
    pub fn log(&self, lines: impl LogSink + 'static) -> Arc<dyn LogSink> {
        Arc::new(LinesAhead { clock: self.clock(), lines })
    }

    /// Takes the parts that do what is due, before their loops begin. `woken` wakes the dispatcher's.
    pub fn drive(&self, store: &Store, core: &Core, runner: RunnerId, woken: Arc<Notify>) {
        let engine = Engine {
            store: store.clone(),
            dispatcher: core.dispatcher.clone(),
            ticker: core.ticker.clone(),
            bulk: core.bulk.clone(),
            runner,
            woken,
            up_since: self.clock.now(),
        };
        if self.engine.set(engine).is_err() {
            warn!("a rehearsal drives the first service that it was given");
        }
    }

    async fn advance_by(&self, by: Advance) -> Result<Advanced> {
        let Some(engine) = self.engine.get() else {
            return Err(Error::new(ErrorKind::IllegalState, "The service is still starting."));
        };
        let mut told = self.turn.lock().await;
        let began = Instant::now();
        self.settle(engine, began).await?;
        let target = self.clock.now().saturating_add(by.as_duration());
        loop {
            let now = self.clock.now();
            if now >= target {
                // A run that is due begins at once, perhaps before anybody sets the clock: it belongs to this answer.
                let begun = self.runs.begun();
                return Ok(Advanced { timestamp: now, runs: begun - std::mem::replace(&mut *told, begun) });
            }
            let next = match engine.ticker.next_due().await? {
                Some(due) if due <= now => now.saturating_add(STUCK),
                Some(due) => due,
                None => target,
            };
            self.clock.set_to(next.min(target));
            self.settle(engine, began).await?;
        }
    }

    /// Does what is due, and waits until nothing is left to do at this time.
    async fn settle(&self, engine: &Engine, began: Instant) -> Result<()> {
        loop {
            let ticked = engine.ticker.look(engine.up_since).await.map_err(|TickError { first, .. }| first)?;
            let claimed = engine.dispatcher.claim_all(&engine.woken).await?;
            let at_work = self.at_work(engine).await?;
            if !ticked.did_anything() && claimed != Claimed::Contended && at_work == 0 {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(Error::new(ErrorKind::IllegalState, self.stuck(at_work)));
            }
            if at_work > 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// How many things are being done now.
    async fn at_work(&self, engine: &Engine) -> std::result::Result<usize, StoreError> {
        let rows = engine.store.tasks.runs_of(&engine.runner).await?;
        let (unknown, running): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|record| self.runs.is_unknown(record.task.id));
        let here = self.runs.in_progress() + engine.dispatcher.at_work().saturating_sub(unknown.len());
        let bulk = if engine.bulk.has_work().await? { 1 } else { 0 };
        Ok(running.len().max(here) + bulk)
    }

    fn stuck(&self, at_work: usize) -> String {
        let now = self.clock.now();
        let minutes = PATIENCE.as_secs() / 60;
        match at_work {
            0 => format!(
                "More became due than could be done within {minutes} minutes. The clock is at {now}: set it forward in \
                 smaller steps."
            ),
            runs => format!(
                "{runs} runs or bulk operations are still in progress after {minutes} minutes. The clock is at {now}: it goes \
                 on once they have ended."
            ),
        }
    }
}

impl Rehearsal for LocalRehearsal {
    fn advance(&self, by: Advance) -> PortFuture<'_, Result<Advanced>> {
        Box::pin(self.advance_by(by))
    }

    fn fail(&self, function: &FunctionName, failures: Failures) {
        self.runs.fail(function, failures);
    }
}
