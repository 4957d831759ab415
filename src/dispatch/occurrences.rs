//! Creates Tasks for occurrences of Schedules.

use tasklane_model::{Function, Schedule, Task, TaskOptions, TaskOrigin, Timestamp};
use tasklane_ports::Ports;
use tasklane_store::{Store, StoreError};
use tracing::warn;

use super::FunctionDirectory;

/// Creates the Task of the latest due occurrence and moves the Schedule on, in one transaction, so that each occurrence
/// yields one Task even if several callers do this. Missed occurrences before the latest one are skipped. `true` if
/// this call created the Task.
pub async fn materialise(
    store: &Store,
    ports: &Ports,
    functions: &FunctionDirectory,
    schedule: &Schedule,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let function = functions.read(&schedule.function_name).await?;
    create_occurrence(store, ports, function.as_deref(), schedule, now).await
}

/// Like [`materialise`], with the Function as the caller has just read it; `None` if there is none.
pub(crate) async fn create_occurrence(
    store: &Store,
    ports: &Ports,
    function: Option<&Function>,
    schedule: &Schedule,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let next = schedule.occurrence_after(now);
    let Some(function) = function.filter(|function| function.enabled) else {
        // A Task of an unknown Function cannot be created (16). A disabled Function runs nothing, and Tasks that pile
        // up meanwhile would all start at once when it is enabled.
        warn!(
            schedule = %schedule.id, function = %schedule.function_name,
            "an occurrence was skipped: the function is disabled or does not exist"
        );
        store.schedules.skip_to(schedule, next, now).await?;
        return Ok(false);
    };
    let task = Task {
        data: schedule.data.clone(),
        start_timestamp: schedule.latest_occurrence(now),
        priority: schedule.priority.unwrap_or(function.execution_options.default_priority),
        origin: TaskOrigin {
            created_by_user_id: schedule.created_by_user_id.clone(),
            created_by_application_id: schedule.created_by_application_id.clone(),
        },
        options: TaskOptions {
            timeouts: function.timeouts,
            on_complete: schedule.on_complete.clone(),
            ..TaskOptions::default()
        },
        ..Task::new(ports.ids.next(now), schedule.function_name.clone(), now)
    };
    store.schedules.materialise(schedule, next, &task, function.lane, now).await
}
