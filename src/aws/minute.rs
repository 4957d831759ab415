//! The work of one invocation of the ticker, once a minute.

use tasklane_dispatch::TickError;
use tasklane_ports::{PortError, Wakeup};
use tasklane_store::{Place, StoreError};

use super::{Stack, metrics};

/// How many due Tasks are counted. The reported depth of the queue is at most this.
const MOST_COUNTED: usize = 1000;

/// Why an invocation of the ticker failed. The next one makes up for it.
#[derive(Debug, thiserror::Error)]
pub enum MinuteError {
    /// A part of the tick failed; everything else was done.
    #[error(transparent)]
    Tick(#[from] TickError),
    /// The tables could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No dispatcher could be woken.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Runs a tick, wakes a dispatcher if a Task is ready, and reports metrics.
///
/// This makes up for lost wake-ups: while a Task is ready, each minute wakes one dispatcher. Tasks that are held back
/// (those of a disabled Function) are ready, too, so this may wake a dispatcher for nothing. Once a minute, that costs
/// little.
///
/// A tick in which something failed does all of this, too, because what failed (a Schedule that cannot be read) may fail
/// each minute.
pub async fn work_minute(stack: &Stack) -> Result<(), MinuteError> {
    let ticked = stack.ticker().tick().await;
    let lanes = stack.functions().lanes().await?;
    let mut ready = stack.store.tasks.heads(&lanes, MOST_COUNTED).await?;
    let is_any_ready = !ready.is_empty();
    // What waits for its key is not late.
    ready.retain(|candidate| !matches!(candidate.place, Place::Held(_)));
    let now = stack.ports.clock.now();
    let oldest = ready.iter().filter_map(|candidate| candidate.key.start()).min();
    metrics::report(&stack.settings.prefix, &metrics::of_tick(&ticked, ready.len(), oldest, now), now);
    if is_any_ready {
        stack.ports.wakeups.wake(Wakeup::NOW).await?;
    }
    ticked?;
    Ok(())
}
