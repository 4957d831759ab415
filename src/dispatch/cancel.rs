//! Cancels Tasks (contract §4).

use tasklane_model::{ObjectId, TaskEventKind, TaskStatus};
use tasklane_ports::Ports;
use tasklane_store::{CancelOutcome, Store, StoreError};

use super::{FunctionDirectory, following, publish_end, release, wake_for_following};

/// Cancels a Task that is `new`, creates the one that follows and the one that a Schedule queued behind it, if any, and
/// publishes the event if its Function asked for it. A bulk operation that repeats this is told the same again.
pub async fn cancel(
    store: &Store,
    ports: &Ports,
    functions: &FunctionDirectory,
    id: ObjectId,
    operation: Option<ObjectId>,
) -> Result<CancelOutcome, StoreError> {
    let now = ports.clock.now();
    let mut outcome = store.tasks.cancel_then(id, None, operation, now).await?;
    if let CancelOutcome::IsFollowed(task) = outcome {
        let canceled = task.ended(TaskStatus::Canceled, None, now);
        let then = following(store, ports, &canceled, None, now).await;
        outcome = store.tasks.cancel_then(id, then.as_ref(), operation, now).await?;
        if matches!(outcome, CancelOutcome::Canceled(_)) {
            wake_for_following(ports, then.as_ref()).await;
        }
    }
    if let CancelOutcome::Canceled(Some(task)) = &outcome {
        if !task.options.events.at_end(TaskStatus::Canceled, true).is_empty() {
            publish_end(store, ports, task, None, TaskEventKind::TaskCanceled.into()).await;
        }
        release(store, ports, functions, task, None).await;
    }
    Ok(outcome)
}
