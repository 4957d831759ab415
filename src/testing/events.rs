//! Keeps events, or refuses them when a test asks for that.

use std::sync::atomic::{AtomicUsize, Ordering};

use tasklane_ports::{Events, PortError, PortFuture, TaskEvent};
use tasklane_runtime::lock::Lock;

/// Keeps every published event.
#[derive(Debug, Default)]
pub struct TestEvents {
    published: Lock<Vec<TaskEvent>>,
    refusals: AtomicUsize,
}

impl TestEvents {
    /// Refuses the next `times` events.
    pub fn refuse(&self, times: usize) {
        self.refusals.store(times, Ordering::SeqCst);
    }

    /// The published events, in order.
    pub fn published(&self) -> Vec<TaskEvent> {
        self.published.lock().clone()
    }
}

impl Events for TestEvents {
    fn publish<'a>(&'a self, event: &'a TaskEvent) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let refused = self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if refused.is_ok() {
                return Err(PortError::new("publish an event", "refused"));
            }
            self.published.lock().push(event.clone());
            Ok(())
        })
    }
}
