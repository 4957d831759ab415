//! Direct execution: a Task that runs at once, past the queue, while its caller waits (contract §4).

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tracing::{Instrument, info_span};
use utoipa::ToSchema;

use super::{
    Service,
    access::{Known, must_be_enabled},
    tasks::check_data_size,
};
use crate::{
    dispatch::{Acquired, Ended, Idle, Slot, new_run, tell_of},
    model::{
        Caller, Error, ErrorKind, Function, Json, ObjectId, Permission, Result, Task, TaskErrorKind, TaskOrigin,
        TaskStatus, TimeLimit,
    },
    ports::Wakeup,
    store::{Run, SlotScope},
};

/// A finished Task and what its Function returned.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Executed {
    /// The Task, complete.
    #[serde(flatten)]
    pub task: Task,
    /// The returned JSON; it is not stored.
    pub result: Json,
}

impl Service {
    /// Runs a Function and answers what it returned. 104 and 10 by its permission mode (contract §6), 27 when it is
    /// disabled, 1403, 1404, 1405, and 1406 when the code threw.
    pub async fn execute(&self, caller: &Caller, function: &str, data: Option<Json>) -> Result<Executed> {
        // What is known lately lets a call begin and refuses none. Whether it is so still is found out while the Task is
        // being written, and if not, the call begins anew.
        let mut known = Known::Lately;
        loop {
            let function = match self.admit(caller, function, data.as_ref(), known).await {
                Err(_) if known == Known::Lately => {
                    known = Known::Now;
                    continue;
                }
                admitted => admitted?,
            };
            let slot = match self.inner.slots.acquire_direct(&function).await? {
                Acquired::Granted(slot) => slot,
                Acquired::Full(SlotScope::Function(_)) if known == Known::Lately => {
                    known = Known::Now;
                    continue;
                }
                Acquired::Full(scope) => return Err(no_slot(&scope)),
            };
            let admitted = self.inner.anonymous.admit_to_execution(caller)?;
            let task = self.running_task(caller, &function, data.clone());
            let id = task.id;
            let this = self.clone();
            // A caller who goes away must not take the run's outcome along: the Task ends in a true state all the same.
            let span = info_span!("run", task = %id, function = %function.name);
            let run = async move {
                let _admitted = admitted;
                this.run_directly(&function, task, slot, known).await
            };
            match self.answer_of(run.instrument(span), |patience| still_running(patience, id)).await? {
                Some(executed) => return Ok(executed),
                None => known = Known::Now,
            }
        }
    }

    /// The Function, if this caller may execute it with this data.
    async fn admit(&self, caller: &Caller, function: &str, data: Option<&Json>, known: Known) -> Result<Arc<Function>> {
        let function = self.runnable(caller, function, Permission::ExecuteTaskFunction, known).await?;
        must_be_enabled(&function)?;
        if function.time_limit > TimeLimit::LONGEST_DIRECT {
            let message = format!(
                "The function's time limit is {} s; a direct execution takes at most {} s. Create a task instead.",
                function.time_limit,
                TimeLimit::LONGEST_DIRECT
            );
            return Err(Error::new(ErrorKind::TimeLimitExceedsDirectExecutionMaximum, message));
        }
        check_data_size(data)?;
        Ok(function)
    }

    fn running_task(&self, caller: &Caller, function: &Function, data: Option<Json>) -> Task {
        let now = self.inner.ports.clock.now();
        Task {
            status: TaskStatus::InProgress,
            data,
            priority: function.execution_options.default_priority,
            origin: TaskOrigin::from(caller),
            ..Task::new(self.inner.ports.ids.next(now), function.name.clone(), now)
        }
    }

    /// `None`: the Function was changed since it was `known`; nothing ran, and there is no such Task.
    async fn run_directly(
        &self,
        function: &Function,
        task: Task,
        slot: Slot,
        known: Known,
    ) -> Result<Option<Executed>> {
        let run = new_run(&self.inner.ports, self.inner.slots.holder(), function.time_limit);
        if !self.begin(function, &task, &run, known).await? {
            return Ok(None);
        }
        let id = task.id;
        let ended = self.inner.runner.run_direct(task, function, &run).await;
        tell_of(id, &function.name, &ended, None, self.inner.ports.clock.now().since(run.started));
        if let Ended::Unknown(_) = ended {
            // The code may still be running: until it cannot, its slot is taken.
            let (clock, left) = (self.inner.ports.clock.clone(), run.lease_expires.since(self.inner.ports.clock.now()));
            let this = self.clone();
            self.inner.background.spawn(async move {
                clock.sleep(left).await;
                drop(slot);
                this.give_idle_slots_back().await;
            });
        } else {
            // Before the answer: the caller may execute again at once. They need not wait for what only others wait for.
            drop(slot);
            let this = self.clone();
            self.inner.background.spawn(async move { this.give_idle_slots_back().await });
        }
        match ended {
            Ended::Complete(task, result) => Ok(Some(Executed { task, result })),
            Ended::Failed(task, error) => Err(match error.kind {
                TaskErrorKind::Runtime => Error::runtime_error(&error.name, &error.message, Some(task.id)),
                TaskErrorKind::Invocation => not_invoked(&error.name, &error.message, id),
            }),
            Ended::Unknown(why) => {
                Err(not_invoked("Unknown", "It is not known whether the function ran.", id).caused_by(why))
            }
        }
    }

    /// Lets others have the slots that nothing runs in here, and wakes a dispatcher if one may wait for the Function's own
    /// limit.
    async fn give_idle_slots_back(&self) {
        if self.inner.slots.give_back(Idle::Scarce).await {
            self.wake(Wakeup::NOW).await;
        }
    }

    /// Writes the Task down. `false`: the Function is not what it was known to be, and the Task is withdrawn.
    async fn begin(&self, function: &Function, task: &Task, run: &Run, known: Known) -> Result<bool> {
        let written = self.inner.store.tasks.create_running(task, run);
        if known == Known::Now {
            written.await?;
            return Ok(true);
        }
        let (written, now) = tokio::join!(written, self.inner.functions.read(&function.name));
        written?;
        if matches!(&now, Ok(Some(now)) if **now == *function) {
            return Ok(true);
        }
        self.inner.runner.withdraw(task.id, run).await.map_err(Error::internal)?;
        now?;
        Ok(false)
    }
}

fn no_slot(scope: &SlotScope) -> Error {
    let message = match scope {
        SlotScope::Tasks | SlotScope::Direct => {
            "As many direct executions are in progress as may be at once. Try again later, or create a task.".to_owned()
        }
        SlotScope::Function(name) => {
            format!("As many runs of '{name}' are in progress as may be at once. Try again later, or create a task.")
        }
    };
    Error::new(ErrorKind::ConcurrentExecutionLimit, message)
}

fn still_running(patience: Duration, task: ObjectId) -> Error {
    let text = format!(
        "The function has not ended within {} seconds, and nobody here can wait longer. It runs on: its task tells how it ends.",
        patience.as_secs()
    );
    Error::new(ErrorKind::LambdaInvocation, text).with("taskId", serde_json::Value::String(task.to_string()))
}

fn not_invoked(name: &str, message: &str, task: ObjectId) -> Error {
    let text = format!("The function could not be invoked: {name}: {message}");
    Error::new(ErrorKind::LambdaInvocation, text).with("taskId", serde_json::Value::String(task.to_string()))
}
