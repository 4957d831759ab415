//! Time that passes only while everybody waits for it.

use std::time::Duration;

use crate::{
    model::Timestamp,
    ports::{Clock, PortFuture},
};

/// Follows tokio's clock: with `start_paused`, it jumps to the next timer as soon as nothing else can go on.
#[derive(Clone, Copy, Debug)]
pub struct TestClock {
    base: Timestamp,
    started: tokio::time::Instant,
}

impl TestClock {
    /// Starts at this moment.
    pub fn at(base: Timestamp) -> Self {
        Self { base, started: tokio::time::Instant::now() }
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.base.saturating_add(self.started.elapsed())
    }

    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
