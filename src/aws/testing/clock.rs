//! A clock for tests that wait.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tasklane_model::Timestamp;
use tasklane_ports::{Clock, PortFuture};

/// A clock on which sleeping takes no time: it jumps to the end of each sleep.
#[derive(Debug)]
pub struct SleeplessClock(Mutex<Timestamp>);

impl SleeplessClock {
    /// Starts at `now`.
    pub fn at(now: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(now.parse().unwrap())))
    }
}

impl Clock for SleeplessClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()> {
        Box::pin(async move {
            let mut now = self.0.lock().unwrap();
            *now = now.saturating_add(duration);
        })
    }
}
