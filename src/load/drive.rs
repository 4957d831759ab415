//! Makes the calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::Report;

/// One connection.
pub trait Caller: Send + 'static {
    /// Makes one call and waits for the response. An error is a short description; equal errors are counted together.
    fn call(&mut self) -> impl Future<Output = Result<(), String>> + Send;
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After this many calls on all connections together.
    Calls(u64),
    /// After this time, once calls in progress have ended.
    Elapsed(Duration),
}

/// How fast calls follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Each connection makes its next call as soon as the last one has ended.
    Flat,
    /// This many calls per second on all connections together. A call's time starts when the call was due, so that a server
    /// that stalls is also charged for the calls that it delays.
    PerSecond(f64),
}

/// The progress, which can be read while [`drive`] runs.
#[derive(Debug, Default)]
pub struct Live {
    pub succeeded: AtomicU64,
    pub failed: AtomicU64,
}

/// The pause after a failed call, so that a server that refuses immediately is not called a million times.
const PAUSE: Duration = Duration::from_millis(20);

/// Makes calls on all connections at once.
pub async fn drive<C: Caller>(callers: Vec<C>, pace: Pace, until: Until, live: &Arc<Live>) -> Report {
    let began = Instant::now();
    let taken = Arc::new(AtomicU64::new(0));
    let mut connections = JoinSet::new();
    for caller in callers {
        let (taken, live) = (taken.clone(), live.clone());
        connections.spawn(connection(caller, Schedule { began, pace, until, taken }, live));
    }
    let mut whole = Report::default();
    while let Some(part) = connections.join_next().await {
        match part {
            Ok(part) => whole.add(&part),
            Err(ended) => whole.fail(format!("a connection's task ended: {ended}")),
        }
    }
    whole.took = began.elapsed();
    whole
}

async fn connection<C: Caller>(mut caller: C, schedule: Schedule, live: Arc<Live>) -> Report {
    let mut report = Report::default();
    while let Some(due) = schedule.next() {
        let start = match due {
            Some(due) => {
                tokio::time::sleep_until(due.into()).await;
                due
            }
            None => Instant::now(),
        };
        match caller.call().await {
            Ok(()) => {
                report.succeed(start.elapsed());
                live.succeeded.fetch_add(1, Ordering::Relaxed);
            }
            Err(why) => {
                report.fail(why);
                live.failed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    report
}

struct Schedule {
    began: Instant,
    pace: Pace,
    until: Until,
    /// The number of started calls.
    taken: Arc<AtomicU64>,
}

impl Schedule {
    /// When the next call is due; the inner `None` means at once, the outer that there are no more calls.
    #[allow(clippy::cast_precision_loss)] // exact up to 2^53 calls
    fn next(&self) -> Option<Option<Instant>> {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        let due = match self.pace {
            Pace::Flat => None,
            Pace::PerSecond(rate) => {
                Some(self.began + Duration::try_from_secs_f64(number as f64 / rate).unwrap_or(Duration::MAX / 4))
            }
        };
        let goes_on = match self.until {
            Until::Calls(calls) => number < calls,
            Until::Elapsed(time) => due.unwrap_or_else(Instant::now) < self.began + time,
        };
        goes_on.then_some(due)
    }
}
