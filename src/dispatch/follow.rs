//! The Task that follows one that has ended (contract §12).

use tasklane_model::{Json, Lane, Priority, Task, TaskOptions, TaskStatus, Timestamp};
use tasklane_ports::{Ports, Wakeup};
use tasklane_store::{Following, Store, Versioned};
use tracing::{info, warn};

/// The Task that follows this final one; `None` if none does. To be added in the transaction that makes it final.
///
/// It is created even if its Function is gone by now: then it fails, which somebody notices.
pub async fn following(
    store: &Store,
    ports: &Ports,
    ended: &Task,
    result: Option<&Json>,
    now: Timestamp,
) -> Option<Following> {
    let follow = ended.options.on_complete.as_ref().filter(|_| ended.status != TaskStatus::Retried)?;
    let data = match follow.data_after(ended, result) {
        Ok(data) => Some(data),
        Err(error) => {
            warn!(task = %ended.id, %error, "what became of a task cannot be told to the one that follows");
            None
        }
    };
    let (queue, priority, options) = match store.functions.get(&follow.function_name).await {
        Ok(Some(Versioned { value, .. })) => {
            let options = TaskOptions::inherited_from(&value);
            (value.lane, value.execution_options.default_priority, options)
        }
        // The outcome must not wait for this. A dispatcher moves the Task to its Function's own lane if it has one.
        Ok(None) | Err(_) => (Lane::Shared, Priority::default(), TaskOptions::default()),
    };
    let task = Task {
        data,
        priority,
        origin: ended.origin.clone(),
        options,
        ..Task::new(ports.ids.next(now), follow.function_name.clone(), now)
    };
    Some(Following { task, queue })
}

/// Wakes a dispatcher for a Task that follows.
pub async fn wake_for_following(ports: &Ports, following: Option<&Following>) {
    let Some(Following { task, .. }) = following else { return };
    info!(task = %task.id, function = %task.function_name, "task created, because another one has ended");
    if let Err(error) = ports.wakeups.wake(Wakeup::for_task(task.id, std::time::Duration::ZERO)).await {
        warn!(task = %task.id, %error, "no wake-up was sent; the ticker will find the task");
    }
}
