//! Tells the time and waits for it.

use std::time::Duration;

use tasklane_model::Timestamp;

use super::PortFuture;

/// Tells the time and waits for it.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
    /// Resolves after `duration`.
    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()>;
    /// By how much it may be set forward while runs are in progress. Real clocks are not, as far as leases are concerned.
    fn longest_jump(&self) -> Duration {
        Duration::ZERO
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    // Every other place gets the time from here.
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> Timestamp {
        Timestamp::saturating_from_millis(jiff::Timestamp::now().as_millisecond())
    }

    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
