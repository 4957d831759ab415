//! Publishes `task_failed`, at least once for each failure.

use tasklane_model::{Task, TaskError, TaskErrorKind};
use tasklane_ports::{Ports, TaskFailedEvent};
use tasklane_store::Store;
use tracing::warn;

/// Publishes the failure of a Task and notes that in the store. If either fails, the Task stays marked as unpublished
/// and the ticker publishes it (again). Receivers recognize duplicates by the event's id.
pub async fn publish_failure(store: &Store, ports: &Ports, task: &Task) -> bool {
    let error = task.error.clone().unwrap_or_else(|| TaskError {
        kind: TaskErrorKind::Invocation,
        name: "Unknown".to_owned(),
        message: "The reason was not recorded.".to_owned(),
    });
    let event = TaskFailedEvent::new(task.id, task.function_name.clone(), &error, task.status_changed_timestamp);
    if let Err(error) = ports.events.publish(&event).await {
        warn!(task = %task.id, %error, "task_failed was not published; the ticker tries again");
        return false;
    }
    match store.tasks.mark_published(task.id).await {
        Ok(()) => true,
        Err(error) => {
            warn!(task = %task.id, %error, "task_failed was published but not marked; it will be published again");
            false
        }
    }
}
