//! Fails Tasks that have waited longer than they may (contract §13).

use tasklane_model::{ObjectId, Task, TaskError, TaskEventKind, TaskStatus};
use tasklane_ports::Ports;
use tasklane_store::{Expired, Store, StoreError};
use tracing::info;

use super::{FunctionDirectory, following, publish_end, release, wake_for_following};

/// Fails a Task if it has waited longer than it may, and publishes that. `true` if it has failed.
pub(crate) async fn expire(
    store: &Store,
    ports: &Ports,
    functions: &FunctionDirectory,
    id: ObjectId,
) -> Result<bool, StoreError> {
    let expired = store.tasks.expire(id, ports.clock.now()).await?;
    publish_expiry(store, ports, functions, expired).await
}

/// Publishes the failure of a Task that has expired. `true` if it has. A Task that another one follows expires here.
pub(crate) async fn publish_expiry(
    store: &Store,
    ports: &Ports,
    functions: &FunctionDirectory,
    expired: Expired,
) -> Result<bool, StoreError> {
    let expired = match expired {
        Expired::IsFollowed(task) => expire_followed(store, ports, *task).await?,
        expired => expired,
    };
    let task: Task = match expired {
        Expired::Failed(record) => record.task,
        Expired::IsFollowed(_) | Expired::Not => return Ok(false),
    };
    info!(task = %task.id, function = %task.function_name, "task expired in the queue");
    publish_end(store, ports, &task, None, TaskEventKind::TaskFailed.into()).await;
    release(store, ports, functions, &task, None).await;
    Ok(true)
}

/// Fails a Task and adds the one that follows.
async fn expire_followed(store: &Store, ports: &Ports, task: Task) -> Result<Expired, StoreError> {
    let now = ports.clock.now();
    let ended = task.ended(TaskStatus::Failed, Some(TaskError::expired()), now);
    let then = following(store, ports, &ended, None, now).await;
    let expired = store.tasks.expire_then(ended.id, then.as_ref(), now).await?;
    match expired {
        Expired::Failed(_) => wake_for_following(ports, then.as_ref()).await,
        Expired::IsFollowed(_) | Expired::Not => {}
    }
    Ok(expired)
}
