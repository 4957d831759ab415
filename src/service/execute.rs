//! Direct execution: a Task that runs at once, bypassing the queue, while its caller waits (contract §4).
//!
//! It has three phases: `reserve` checks the Function and takes a slot, `begin` writes the Task, and `run_reserved`
//! runs it and answers. The first phase uses a Function from the cache, up to two seconds old, which saves a read.
//! `begin` reads the Function while it writes the Task. If the Function has changed, nothing runs, the Task is
//! withdrawn, and the execution starts again with a fresh read. `docs/architecture.md` says what other callers can see
//! of that.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tasklane_dispatch::{Acquired, EndOfRun, Ended, Idle, Slot, end_in_register, new_run, tell_of};
use tasklane_model::{
    Caller, Error, ErrorKind, Function, Json, ObjectId, Permission, Result, Task, TaskError, TaskErrorKind,
};
use tasklane_ports::{Keep, Wakeup};
use tasklane_store::{Run, SlotScope};
use tracing::{Instrument, info_span};
use utoipa::ToSchema;

use super::{
    Service,
    access::{Known, must_be_enabled, must_be_short},
    anonymous::Admission,
    tasks::{TaskIntent, check_data_size},
};

/// A finished Task and the value that its Function returned.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Executed {
    /// The Task, complete.
    #[serde(flatten)]
    pub task: Task,
    /// The returned JSON, which is not stored.
    pub result: Json,
}

/// The right to run a Function once, from the first phase on.
pub(super) struct Reservation {
    function: Arc<Function>,
    slot: Slot,
    _admission: Admission,
}

impl Reservation {
    pub(super) fn function(&self) -> &Function {
        &self.function
    }
}

impl Service {
    /// Runs a Function and returns its result. 104 and 10 by its permission mode (contract §6), 27 when it is disabled,
    /// 1403, 1404, 1405, and 1406 when the code threw.
    pub async fn execute(&self, caller: &Caller, function: &str, data: Option<Json>) -> Result<Executed> {
        // A cached Function may start an execution but never refuse one: the second attempt uses a fresh read.
        let mut known = Known::Lately;
        loop {
            if let Some(reserved) = self.reserve(caller, function, data.as_ref(), known).await? {
                let task = self.running_task(caller, &reserved.function, data.clone());
                let id = task.id;
                let span = info_span!("run", task = %id, function = %reserved.function.name);
                let this = self.clone();
                // The outcome is recorded even if the caller hangs up.
                let run = async move { this.run_reserved(reserved, task, known, None).await }.instrument(span);
                if let Some(executed) = self.answer_of(run, |patience| still_running(patience, id)).await? {
                    return Ok(executed);
                }
            }
            known = Known::Now;
        }
    }

    /// The first phase: checks whether this caller may execute the Function now, and takes a slot. `None` if the cached
    /// Function refuses, which a fresh read has to confirm.
    pub(super) async fn reserve(
        &self,
        caller: &Caller,
        function: &str,
        data: Option<&Json>,
        known: Known,
    ) -> Result<Option<Reservation>> {
        let function = match self.admit(caller, function, data, known).await {
            Err(_) if known == Known::Lately => return Ok(None),
            admitted => admitted?,
        };
        let slot = match self.inner.slots.acquire_direct(&function).await? {
            Acquired::Granted(slot) => slot,
            Acquired::Full(SlotScope::Function(_)) if known == Known::Lately => return Ok(None),
            Acquired::Full(scope) => return Err(no_slot(&scope)),
        };
        let admission = self.inner.anonymous.admit_to_execution(caller)?;
        Ok(Some(Reservation { function, slot, _admission: admission }))
    }

    /// The second and the third phase: writes the Task, then runs it, and keeps its result if `keep` says so. `None` if
    /// the Function has changed since it was read; then nothing ran, and the Task is gone. `None`, too, if another call
    /// with the same idempotency key has written the Task.
    pub(super) async fn run_reserved(
        &self,
        reserved: Reservation,
        task: Task,
        known: Known,
        keep: Option<Keep>,
    ) -> Result<Option<Executed>> {
        let Reservation { function, slot, _admission } = reserved;
        let tried = function.for_chain(task.id);
        let version = Some(tried.history.current.number);
        let run = new_run(&self.inner.ports, self.inner.slots.holder(), tried.time_limit());
        let (run, task) = (Run { version, ..run }, Task { function_version: version, ..task });
        let registered = self.inner.store.runs.register_one(task.id, &run).await?;
        if !self.begin(&function, &task, &run, known).await? {
            registered.end();
            return Ok(None);
        }
        let id = task.id;
        let ended = self.inner.runner.run_direct(task, &tried, &run, keep).await;
        tell_of(id, &function.name, &ended, None, self.inner.ports.clock.now().since(run.started));
        end_in_register(registered, &ended);
        self.release(slot, &ended, &run);
        if let Some(end) = EndOfRun::of_task(&ended) {
            self.judge_in_background(&function, end);
        }
        match ended {
            Ended::Complete(task, result) => Ok(Some(Executed { task, result })),
            Ended::Failed(task, error) => Err(failed_to_run(&error, task.id)),
            Ended::Unknown(why) => {
                Err(not_invoked("Unknown", "It is not known whether the function ran.", id).caused_by(why))
            }
        }
    }

    /// The Function, if this caller may execute it with this data.
    async fn admit(&self, caller: &Caller, function: &str, data: Option<&Json>, known: Known) -> Result<Arc<Function>> {
        let function = self.runnable(caller, function, Permission::ExecuteTaskFunction, known).await?;
        must_be_enabled(&function)?;
        let rule = "Create a task: a direct execution may take at most";
        must_be_short(&function, ErrorKind::TimeLimitExceedsDirectExecutionMaximum, rule)?;
        check_data_size(data)?;
        self.check_data(&function, data)?;
        Ok(function)
    }

    fn running_task(&self, caller: &Caller, function: &Function, data: Option<Json>) -> Task {
        let now = self.inner.ports.clock.now();
        TaskIntent::of_execution(self.inner.ports.ids.next(now), now, function).running_task(caller, function, data)
    }

    /// Writes the Task. `false` if the Function has changed; then the Task is withdrawn. `false`, too, if another call
    /// has written it.
    async fn begin(&self, function: &Function, task: &Task, run: &Run, known: Known) -> Result<bool> {
        let written = self.inner.store.tasks.create_running(task, run);
        if known == Known::Now {
            return Ok(written.await?);
        }
        let (written, now) = tokio::join!(written, self.inner.functions.read(&function.name));
        if !written? {
            return Ok(false);
        }
        if matches!(&now, Ok(Some(now)) if **now == *function) {
            return Ok(true);
        }
        self.inner.runner.withdraw(task.id, run).await.map_err(Error::internal)?;
        now?;
        Ok(false)
    }

    /// Frees the slot of a run that ended.
    fn release(&self, slot: Slot, ended: &Ended<Json>, run: &Run) {
        let this = self.clone();
        if let Ended::Unknown(_) = ended {
            // The code may still be running: it holds its slot until its lease ends.
            let (clock, left) = (self.inner.ports.clock.clone(), run.lease_expires.since(self.inner.ports.clock.now()));
            self.inner.background.spawn(async move {
                clock.sleep(left).await;
                drop(slot);
                this.give_idle_slots_back().await;
            });
        } else {
            // Freed before the answer, because the caller may execute again immediately. Returning it to other
            // processes can wait.
            drop(slot);
            self.inner.background.spawn(async move { this.give_idle_slots_back().await });
        }
    }

    /// Returns idle slots to the other processes, and wakes a dispatcher if one may be waiting for the Function's own
    /// limit.
    async fn give_idle_slots_back(&self) {
        if self.inner.slots.give_back(Idle::Scarce).await {
            self.wake(Wakeup::NOW).await;
        }
    }
}

fn no_slot(scope: &SlotScope) -> Error {
    let message = match scope {
        SlotScope::Tasks | SlotScope::Direct => {
            "The limit of concurrent direct executions is reached. Try again later, or create a task.".to_owned()
        }
        SlotScope::Function(name) => {
            format!("The limit of concurrent runs of '{name}' is reached. Try again later, or create a task.")
        }
    };
    Error::new(ErrorKind::ConcurrentExecutionLimit, message)
}

pub(super) fn still_running(patience: Duration, task: ObjectId) -> Error {
    let text = format!(
        "The function did not end within {} seconds, which is the longest that this request can wait. It is still running; \
         read the task for its outcome.",
        patience.as_secs()
    );
    Error::new(ErrorKind::LambdaInvocation, text).with("taskId", serde_json::Value::String(task.to_string()))
}

/// The error of a run that failed.
pub(super) fn failed_to_run(error: &TaskError, task: ObjectId) -> Error {
    match error.kind {
        TaskErrorKind::Runtime => Error::runtime_error(&error.name, &error.message, Some(task)),
        TaskErrorKind::Invocation => not_invoked(&error.name, &error.message, task),
    }
}

fn not_invoked(name: &str, message: &str, task: ObjectId) -> Error {
    let text = format!("The function could not be invoked: {name}: {message}");
    Error::new(ErrorKind::LambdaInvocation, text).with("taskId", serde_json::Value::String(task.to_string()))
}
