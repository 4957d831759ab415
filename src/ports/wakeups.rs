//! Wakes dispatchers and the ticker.

use std::time::Duration;

use tasklane_model::ObjectId;

use super::{PortError, PortFuture};

/// Wakes dispatchers. A wake-up is only a hint: a late, lost or duplicate one costs time, never a Task.
pub trait Wakeups: Send + Sync {
    /// Asks a dispatcher to look for due Tasks. Beyond the adapter's longest delay it does nothing: the ticker promotes
    /// later Tasks.
    fn wake<'a>(&'a self, wakeup: Wakeup) -> PortFuture<'a, Result<(), PortError>>;

    /// Tells the ticker that a Schedule was created or deleted, so that it looks again. There is nothing to do where a
    /// clock starts the ticker.
    fn times_changed<'a>(&'a self) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A hint that a dispatcher should look for due Tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wakeup {
    /// How long to wait before it looks.
    pub delay: Duration,
    /// The Task that it was sent for, if any. The queue is read from an index, which may show a new Task a moment late: a
    /// dispatcher that knows about the Task looks again.
    pub task: Option<ObjectId>,
}

impl Wakeup {
    /// Immediately, for any due Task.
    pub const NOW: Self = Self { delay: Duration::ZERO, task: None };

    /// For this Task, which is due after `delay`.
    pub fn for_task(task: ObjectId, delay: Duration) -> Self {
        Self { delay, task: Some(task) }
    }
}
