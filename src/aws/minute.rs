//! What one invocation of the ticker's Lambda function does, each minute.

use super::{Stack, metrics};
use crate::{
    ports::{PortError, Wakeup},
    store::StoreError,
};

/// How many due Tasks are looked at: the depth of the queue is reported up to here.
const MOST_COUNTED: usize = 1000;

/// Why a minute's work was not done. The next minute does it.
#[derive(Debug, thiserror::Error)]
pub enum MinuteError {
    /// The tables could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No dispatcher could be woken.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Does what is due, makes sure that a dispatcher looks at whatever is ready, and reports.
///
/// A wake-up that was lost is made up for here: while anything is ready, each minute wakes one dispatcher. What is held
/// back (a disabled Function's Tasks) is ready too, so this may wake one for nothing; once a minute, that costs little.
pub async fn work_minute(stack: &Stack) -> Result<(), MinuteError> {
    let ticked = stack.ticker().tick().await?;
    let lanes = stack.functions().lanes().await?;
    let ready = stack.store.tasks.heads(&lanes, MOST_COUNTED).await?;
    let now = stack.ports.clock.now();
    let oldest = ready.iter().filter_map(|candidate| candidate.key.start()).min();
    metrics::report(&stack.settings.prefix, &metrics::of_tick(&ticked, ready.len(), oldest, now), now);
    if !ready.is_empty() {
        stack.ports.wakeups.wake(Wakeup::NOW).await?;
    }
    Ok(())
}
