//! Wake-ups within one process.

use std::sync::Arc;

use tasklane_ports::{PortError, PortFuture, Wakeup, Wakeups};
use tokio::sync::Notify;

/// Wakes the dispatcher and the ticker of the same process.
///
/// A wake-up with a delay goes to the ticker, which looks for the next due time and sleeps until then. So no timer is
/// needed for each Task, and no wake-up is lost.
#[derive(Clone, Debug, Default)]
pub struct LocalWakeups {
    /// Tells the dispatcher that a Task may be ready.
    pub dispatcher: Arc<Notify>,
    /// Tells the ticker that something may be due earlier than it expected.
    pub ticker: Arc<Notify>,
}

impl Wakeups for LocalWakeups {
    fn wake<'a>(&'a self, wakeup: Wakeup) -> PortFuture<'a, Result<(), PortError>> {
        if wakeup.delay.is_zero() {
            self.dispatcher.notify_one()
        } else {
            self.ticker.notify_one()
        }
        Box::pin(async { Ok(()) })
    }

    fn times_changed<'a>(&'a self) -> PortFuture<'a, Result<(), PortError>> {
        self.ticker.notify_one();
        Box::pin(async { Ok(()) })
    }
}
