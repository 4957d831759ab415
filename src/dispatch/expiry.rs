//! Fails Tasks that have waited longer than they may (contract §13).

use tasklane_model::{ObjectId, Task};
use tasklane_ports::Ports;
use tasklane_store::{Expired, Store, StoreError};
use tracing::info;

use super::publish_failure;

/// Fails a Task if it has waited longer than it may, and publishes that. `true` if it has failed.
pub(crate) async fn expire(store: &Store, ports: &Ports, id: ObjectId) -> Result<bool, StoreError> {
    let expired = store.tasks.expire(id, ports.clock.now()).await?;
    Ok(publish_expiry(store, ports, expired).await)
}

/// Publishes the failure of a Task that has expired. `true` if it has.
pub(crate) async fn publish_expiry(store: &Store, ports: &Ports, expired: Expired) -> bool {
    let task: Task = match expired {
        Expired::Failed(record) => record.task,
        Expired::Not => return false,
    };
    info!(task = %task.id, function = %task.function_name, "task expired in the queue");
    publish_failure(store, ports, &task).await;
    true
}
