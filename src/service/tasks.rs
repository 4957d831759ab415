//! Tasks: create, list, cancel (contract §4).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tasklane_model::{
    AffectedRecords, ByteSize, Caller, Error, ErrorKind, Function, FunctionName, Json, Made, NewTask, ObjectId,
    OnComplete, Once, OnceScope, Page, Priority, Result, Task, TaskEvents, TaskOptions, TaskOrigin, TaskStatus,
    Timeouts, Timestamp, task::MAX_DATA_BYTES,
};
use tasklane_ports::Wakeup;
use tasklane_rql::Query;
use tasklane_store::{CancelOutcome, Found};
use tracing::info;

use super::{Inner, Service, debounce::check_without_key};

impl Service {
    /// A page of Tasks.
    pub async fn list_tasks(&self, caller: &Caller, query: &Query) -> Result<Page<Json>> {
        let _turn = self.turn_of(caller, query).await?;
        Ok(self.inner.store.tasks.list(query, self.inner.ports.clock.now()).await?)
    }

    /// Creates a Task; 16 when its Function does not exist, 15 when `data` is over 250 KB or does not fit the Function's schema.
    pub async fn create_task(&self, caller: &Caller, new: NewTask) -> Result<Task> {
        check_data_size(new.data.as_ref())?;
        let function = self.functions_for(&new).await?;
        if let Some(debounce) = new.options.debounce.clone() {
            return self.create_debounced(caller, new, &debounce, &function).await;
        }
        let intent = self.intent_of(&new, &function);
        self.add_task(intent.task(caller, new), &function).await
    }

    /// Creates a Task, or returns the one that an earlier call with the same idempotency key created. 1501 when that call
    /// had another body; the rest as for [`Service::create_task`].
    pub async fn create_task_once(&self, caller: &Caller, new: NewTask, once: Option<&Once>) -> Result<Made<Task>> {
        self.create_task_within(caller, new, once, "POST /tasks/v1").await
    }

    /// The same, for a key that is unique within this endpoint.
    pub(super) async fn create_task_within(
        &self,
        caller: &Caller,
        new: NewTask,
        once: Option<&Once>,
        endpoint: &str,
    ) -> Result<Made<Task>> {
        let Some(once) = once else {
            return Ok(Made { record: self.create_task(caller, new).await?, is_replay: false });
        };
        check_without_key(&new)?;
        let scope = OnceScope::of(caller, endpoint)?;
        check_data_size(new.data.as_ref())?;
        let intents = &self.inner.store.intents;
        let function = self.functions_for(&new).await;
        let (intent, is_replay) = match &function {
            Ok(function) => {
                let intent = self.intent_of(&new, function);
                let counts = same_body(intents.begin(&scope, once, intent).await?)?;
                (counts, counts != intent)
            }
            // The Function may have been deleted, or have another schema, since the Task was created.
            Err(_) => match intents.find(&scope, once).await? {
                Some(found) => (same_body(found)?, true),
                None => return Err(function.err().unwrap_or_else(|| Error::unknown("function", new.function_name))),
            },
        };
        self.fulfil(caller, new, function, intent, is_replay).await
    }

    /// Creates the Task of an intent, or returns it if it exists.
    pub(super) async fn fulfil(
        &self,
        caller: &Caller,
        new: NewTask,
        function: Result<Arc<Function>>,
        intent: TaskIntent,
        is_replay: bool,
    ) -> Result<Made<Task>> {
        if is_replay && let Some(record) = self.inner.store.tasks.get(intent.id).await? {
            return Ok(Made { record: record.task, is_replay });
        }
        let mut task = self.add_task(intent.task(caller, new), &*function?).await?;
        if is_replay {
            // The first call may have added it meanwhile.
            task = self.inner.store.tasks.get(intent.id).await?.map_or(task, |record| record.task);
        }
        Ok(Made { record: task, is_replay })
    }

    /// The Function of a Task; 16 when it does not exist, or the one that follows does not.
    pub(super) async fn functions_of(&self, name: &FunctionName, follow: Option<&OnComplete>) -> Result<Arc<Function>> {
        let functions = &self.inner.functions;
        let function = functions.find(name).await?.ok_or_else(|| Error::unknown("function", name))?;
        if let Some(OnComplete { function_name, .. }) = follow
            && functions.find(function_name).await?.is_none()
        {
            return Err(Error::unknown("function", function_name));
        }
        Ok(function)
    }

    /// The Function of a new Task, if it takes the data.
    pub(super) async fn functions_for(&self, new: &NewTask) -> Result<Arc<Function>> {
        let function = self.functions_of(&new.function_name, new.options.on_complete.as_ref()).await?;
        self.check_data(&function, new.data.as_ref())?;
        Ok(function)
    }

    /// Checks that the data of a call fits the schema of the Function that gets it (15). What the engine makes by itself is not
    /// checked: the Task of a Schedule's occurrence, of `onComplete` and of a retry.
    pub(super) fn check_data(&self, function: &Function, data: Option<&Json>) -> Result<()> {
        self.inner.functions.check_data(function, data)
    }

    /// The values of a Task that is created now.
    pub(super) fn intent_of(&self, new: &NewTask, function: &Function) -> TaskIntent {
        let now = self.inner.ports.clock.now();
        TaskIntent {
            id: self.inner.ports.ids.next(now),
            created: now,
            start: new.start_timestamp.unwrap_or(now),
            priority: new.priority.unwrap_or(function.execution_options.default_priority),
            timeouts: new.options.timeouts.or(function.timeouts),
            events: function.events,
        }
    }

    /// Adds a Task, and wakes a dispatcher for it.
    pub(super) async fn add_task(&self, task: Task, function: &Function) -> Result<Task> {
        let now = self.inner.ports.clock.now();
        let created = self.inner.store.tasks.create(&task, function.lane, now).await;
        // Even if the store did not respond: the Task may exist, and no other process knows about it.
        self.wake_for_start(&task, now).await;
        created?;
        info!(task = %task.id, function = %task.function_name, start = %task.start_timestamp, "task created");
        Ok(task)
    }

    /// Wakes a dispatcher at the start of a Task, and a ticker if the Task may not wait for ever.
    pub(super) async fn wake_for_start(&self, task: &Task, now: Timestamp) {
        self.wake(Wakeup::for_task(task.id, task.start_timestamp.since(now))).await;
        if task.not_after().is_some() {
            self.times_changed().await;
        }
    }

    /// Cancels a Task; 16 when there is none, 27 unless it is `new`.
    pub async fn cancel_task(&self, id: ObjectId) -> Result<AffectedRecords> {
        let Inner { store, ports, functions, .. } = &*self.inner;
        let outcome = tasklane_dispatch::cancel(store, ports, functions, id, None).await?;
        match outcome {
            CancelOutcome::Canceled(_) => {
                info!(task = %id, "task canceled");
                Ok(AffectedRecords::ONE)
            }
            CancelOutcome::Unknown => Err(Error::unknown("task", id)),
            // Cannot happen, because the Task that follows was given.
            CancelOutcome::IsFollowed(_) => Err(Error::conflicting_update()),
            CancelOutcome::NotNew(status) => Err(Error::new(
                ErrorKind::IllegalState,
                format!("The task is {status}: only a task that is new can be canceled."),
            )),
        }
    }
}

/// The values of a new Task that do not follow from the call alone. A repeated call uses them again and so creates the same
/// Task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskIntent {
    pub(super) id: ObjectId,
    created: Timestamp,
    start: Timestamp,
    priority: Priority,
    #[serde(default, skip_serializing_if = "Timeouts::is_empty")]
    timeouts: Timeouts,
    #[serde(default, skip_serializing_if = "TaskEvents::is_empty")]
    events: TaskEvents,
}

impl TaskIntent {
    /// The values of the Task of an execution that begins at `now`.
    pub(super) fn of_execution(id: ObjectId, now: Timestamp, function: &Function) -> Self {
        // It does not wait.
        let timeouts = Timeouts::default();
        let priority = function.execution_options.default_priority;
        Self { id, created: now, start: now, priority, timeouts, events: function.events }
    }

    /// The Task of an execution, which is in progress from the first.
    pub(super) fn running_task(self, caller: &Caller, function: &Function, data: Option<Json>) -> Task {
        Task {
            status: TaskStatus::InProgress,
            data,
            start_timestamp: self.start,
            priority: self.priority,
            origin: TaskOrigin::from(caller),
            options: TaskOptions { events: self.events, ..TaskOptions::default() },
            ..Task::new(self.id, function.name.clone(), self.created)
        }
    }

    /// The Task, given the rest of the call.
    pub(super) fn task(self, caller: &Caller, new: NewTask) -> Task {
        Task {
            data: new.data,
            tags: new.tags,
            start_timestamp: self.start,
            priority: self.priority,
            origin: TaskOrigin::from(caller),
            options: TaskOptions { timeouts: self.timeouts, events: self.events, ..new.options },
            ..Task::new(self.id, new.function_name, self.created)
        }
    }
}

/// The intent under a key, unless it is that of a call with another body (1501).
pub(super) fn same_body<T>(found: Found<T>) -> Result<T> {
    match found {
        Found::Same(intent) => Ok(intent),
        Found::OtherBody => Err(Error::idempotency_key_reused()),
    }
}

/// A Task holds at most 250 KB of `data` (contract §4).
pub(super) fn check_data_size(data: Option<&Json>) -> Result<()> {
    let bytes = data.map_or(0, |data| data.as_str().len());
    if bytes <= MAX_DATA_BYTES {
        return Ok(());
    }
    Err(Error::field_format(
        "data",
        format!("takes {} of JSON; a task holds at most {}", ByteSize(bytes as u64), ByteSize(MAX_DATA_BYTES as u64)),
    ))
}
