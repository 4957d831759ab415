//! Time that passes only while every task waits for it.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use tasklane_model::Timestamp;
use tasklane_ports::{Clock, PortFuture};

/// Follows tokio's clock: with `start_paused`, it jumps to the next timer as soon as no task can make progress.
#[derive(Debug)]
pub struct TestClock {
    base: Timestamp,
    started: tokio::time::Instant,
    jumped_millis: AtomicI64,
}

impl TestClock {
    /// Starts at this moment.
    pub fn at(base: Timestamp) -> Self {
        Self { base, started: tokio::time::Instant::now(), jumped_millis: AtomicI64::new(0) }
    }

    /// Sets the clock forward by this many seconds, or back. It does not affect timers.
    pub fn jump(&self, seconds: i64) {
        self.jumped_millis.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let now = self.base.saturating_add(self.started.elapsed());
        Timestamp::saturating_from_millis(now.as_millis() + self.jumped_millis.load(Ordering::SeqCst))
    }

    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
