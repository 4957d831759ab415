//! Publishes what happens to Tasks, each event at least once.
//!
//! The write that ends a Task also says what is to be published about it. Until that is acknowledged, the Task's row is in
//! a lane from which a ticker publishes it again. `task_started` has no write of its own: it is published while the
//! Function runs, and again at the end unless it was accepted. So a run whose runner died publishes it, too.

use tasklane_model::{ObjectId, Task, TaskEventKind, TaskEvents, Timestamp};
use tasklane_ports::{Ports, TaskEvent};
use tasklane_store::Store;
use tracing::warn;

/// Publishes these events of a Task that has ended, and notes that in the store. `started` is when its run began, if it has.
/// If a receiver refuses one, the Task stays marked as unpublished and the ticker publishes it (again). Receivers recognize
/// duplicates by the event's id.
pub async fn publish_end(
    store: &Store,
    ports: &Ports,
    task: &Task,
    started: Option<Timestamp>,
    events: TaskEvents,
) -> bool {
    if events.is_empty() {
        return true;
    }
    for kind in events.iter() {
        let at = match (kind, started) {
            (TaskEventKind::TaskStarted, Some(started)) => started,
            _ => task.status_changed_timestamp,
        };
        if !publish(ports, &TaskEvent::new(kind, task, at)).await {
            return false;
        }
    }
    note_published(store, task.id).await
}

/// Publishes that a Task's run began.
pub(crate) async fn publish_start(ports: &Ports, task: &Task, started: Timestamp) -> bool {
    publish(ports, &TaskEvent::new(TaskEventKind::TaskStarted, task, started)).await
}

async fn publish(ports: &Ports, event: &TaskEvent) -> bool {
    let published = ports.events.publish(event).await;
    if let Err(error) = &published {
        warn!(task = %event.content.id, event = event.kind.as_str(), %error, "an event was not published; the ticker tries again");
    }
    published.is_ok()
}

async fn note_published(store: &Store, task: ObjectId) -> bool {
    let noted = store.tasks.mark_published(task).await;
    if let Err(error) = &noted {
        warn!(%task, %error, "events were published but not marked; they will be published again");
    }
    noted.is_ok()
}
