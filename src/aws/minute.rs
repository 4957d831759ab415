//! The work of one invocation of the ticker, once a minute.

use std::collections::{BTreeMap, BTreeSet};

use tasklane_dispatch::{FunctionDirectory, TickError};
use tasklane_model::FunctionName;
use tasklane_ports::{PortError, Wakeup};
use tasklane_store::{Candidate, Place, QueueLane, Store, StoreError};
use tracing::warn;

use super::{
    Stack,
    metrics::{self, Backlog},
};

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
    let (backlog, is_any_ready) = look(&stack.store, stack.functions()).await?;
    let now = stack.ports.clock.now();
    metrics::report(&stack.settings.prefix, &metrics::of_tick(&ticked, backlog, now), now);
    if is_any_ready {
        stack.ports.wakeups.wake(Wakeup::NOW).await?;
    }
    ticked?;
    Ok(())
}

/// What is waiting, and whether any Task is ready.
///
/// Only what waits for the service counts as waiting, because an alarm rings when it does so for long. What waits for its
/// key or until its Function is enabled again waits as somebody wants it to.
async fn look(store: &Store, functions: &FunctionDirectory) -> Result<(Backlog, bool), StoreError> {
    let mut lanes = functions.lanes().await?;
    let mut ready = store.tasks.heads(&lanes, MOST_COUNTED).await?;
    let is_any_ready = !ready.is_empty();
    let mut seen = BTreeMap::new();
    loop {
        let disabled = disabled_among(functions, &ready, &mut seen).await?;
        let before = lanes.len();
        lanes.retain(|lane| !matches!(lane, QueueLane::Own(function) if disabled.contains(function)));
        if lanes.len() == before {
            // Those that were due before their Function was disabled may still be in the shared lane.
            ready.retain(|candidate| {
                !disabled.contains(&candidate.function) && !matches!(candidate.place, Place::Held(_))
            });
            break;
        }
        // Their Tasks may have hidden others.
        ready = store.tasks.heads(&lanes, MOST_COUNTED).await?;
    }
    let oldest_due = ready.iter().filter_map(|candidate| candidate.key.start()).min();
    let oldest_unpublished = match store.tasks.unpublished(1).await {
        Ok(records) => records.first().map(|record| record.task.status_changed_timestamp),
        // The part of the tick that publishes it failed as well, which counts.
        Err(error) => {
            warn!(%error, "the oldest unpublished event could not be read");
            None
        }
    };
    Ok((Backlog { due: ready.len(), oldest_due, oldest_unpublished }, is_any_ready))
}

/// Which Functions of these Tasks are disabled. Each Function is read once.
async fn disabled_among(
    functions: &FunctionDirectory,
    tasks: &[Candidate],
    seen: &mut BTreeMap<FunctionName, bool>,
) -> Result<BTreeSet<FunctionName>, StoreError> {
    for task in tasks {
        if !seen.contains_key(&task.function) {
            // The Tasks of a deleted Function wait for a dispatcher, which ends them.
            let is_disabled = functions.find(&task.function).await?.is_some_and(|function| !function.enabled);
            seen.insert(task.function.clone(), is_disabled);
        }
    }
    Ok(seen.iter().filter(|(_, is_disabled)| **is_disabled).map(|(name, _)| name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tasklane_service::FunctionOptions;
    use tasklane_testing::World;

    use super::*;

    async fn look_at(world: &World) -> (Backlog, bool) {
        let functions = FunctionDirectory::new(world.store.clone(), Arc::clone(&world.ports.clock));
        look(&world.store, &functions).await.unwrap()
    }

    /// Otherwise the alarm `oldest-due-task` would ring for as long as a Function is disabled.
    #[tokio::test(start_paused = true)]
    async fn tasks_of_a_disabled_function_are_not_late() {
        let world = World::at_rest(1).await;
        for function in ["off", "on"] {
            world.function(function, FunctionOptions::default()).await;
        }
        world.service.set_function_enabled("off", false).await.unwrap();
        world.task("off").await;
        assert_eq!(look_at(&world).await, (Backlog::default(), true));
        world.clock.jump(3600);
        let due = Some(world.task("on").await.start_timestamp);
        let (backlog, _) = look_at(&world).await;
        assert_eq!(backlog, Backlog { due: 1, oldest_due: due, oldest_unpublished: None });
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_were_due_before_their_function_was_disabled_are_not_late_either() {
        let world = World::at_rest(1).await;
        world.function("f", FunctionOptions::default()).await;
        world.task("f").await;
        assert_eq!(look_at(&world).await.0.due, 1);
        world.service.set_function_enabled("f", false).await.unwrap();
        assert_eq!(look_at(&world).await, (Backlog::default(), true));
        world.service.set_function_enabled("f", true).await.unwrap();
        assert_eq!(look_at(&world).await.0.due, 1);
    }
}
