//! Wakes dispatchers and the ticker.

use std::time::Duration;

use super::{PortError, PortFuture};
use crate::model::ObjectId;

/// Wakes dispatchers. A wake-up is only a hint: late, lost and doubled ones cost time, never a Task.
pub trait Wakeups: Send + Sync {
    /// Asks that a dispatcher look for due Tasks. Past the adapter's longest delay this does nothing: the ticker promotes
    /// what lies further ahead.
    fn wake<'a>(&'a self, wakeup: Wakeup) -> PortFuture<'a, Result<(), PortError>>;

    /// Tells the ticker that a Schedule came or went, so that it looks again. Where the ticker is started by a clock of
    /// its own, nothing needs to be done.
    fn schedules_changed<'a>(&'a self) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A hint that a dispatcher should look for due Tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wakeup {
    /// When it should look, counted from now.
    pub delay: Duration,
    /// The Task that it is sent for, if it is sent for one. The queue is read from an index, which may show a fresh Task
    /// a moment late: a dispatcher that knows of the Task looks again.
    pub task: Option<ObjectId>,
}

impl Wakeup {
    /// At once, for whatever is due.
    pub const NOW: Self = Self { delay: Duration::ZERO, task: None };

    /// For this Task, which is due after `delay`.
    pub fn for_task(task: ObjectId, delay: Duration) -> Self {
        Self { delay, task: Some(task) }
    }
}
