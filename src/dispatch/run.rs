//! One run of a claimed Task: invokes its Function and records the outcome.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures::{
    FutureExt as _,
    future::{Either, select},
};
use tasklane_model::{
    Function, Json, ObjectId, Task, TaskError, TaskErrorKind, TaskEventKind, TaskStatus, TimeLimit, VersionNumber,
};
use tasklane_ports::{Invocation, InvokeError, InvokeRequest, Keep, Outcome, Ports, Wakeup};
use tasklane_runtime::backoff::Backoff;
use tasklane_store::{
    AttemptToken, Consequences, Following, NextTask, RegisteredRun, Run, RunnerId, Store, StoreError, TaskRecord,
};
use tracing::{error, info, warn};

use super::{
    events::publish_start, following, publish_end, results, retry::delay_before_retry, slots::RUN_GRACE,
    wake_for_following,
};

/// Runs claimed Tasks.
#[derive(Clone)]
pub struct Runner {
    store: Store,
    ports: Ports,
}

/// How a run ended. `R` is the part of the result that is kept: none for queued Tasks, because no caller waits for it.
#[derive(Debug)]
pub enum Ended<R = ()> {
    /// The code returned; the Task is complete.
    Complete(Task, R),
    /// The run failed for this reason; the Task failed, or was retried.
    Failed(Task, TaskError),
    /// The outcome is unknown. The row stays `inProgress` until its lease ends and the ticker cleans it up.
    Unknown(String),
}

/// Ends a run in the register, unless its Task may still be in progress.
pub fn end_in_register<R>(registered: RegisteredRun, ended: &Ended<R>) {
    match ended {
        Ended::Complete(..) | Ended::Failed(..) => registered.end(),
        Ended::Unknown(_) => {}
    }
}

/// The run failed before the code was called, because this process was too late.
const STARTED_TOO_LATE: &str = "StartedTooLate";

/// The run failed before the code was called, because Lambda had no capacity.
const THROTTLED: &str = "TooManyRequestsException";

/// The names of the errors that say nothing about the code.
pub(super) const NOT_TRIED: [&str; 2] = [STARTED_TOO_LATE, THROTTLED];

/// A run that starts now: its attempt, its runner, and the end of its lease.
pub fn new_run(ports: &Ports, runner: &RunnerId, time_limit: TimeLimit) -> Run {
    let started = ports.clock.now();
    // A run takes real time: if a test sets the clock forward meanwhile, its runner is not dead.
    let lease = time_limit.as_duration() + RUN_GRACE + ports.clock.longest_jump();
    Run {
        attempt: AttemptToken::new(ports.ids.secret()),
        runner: runner.clone(),
        started,
        lease_expires: started.saturating_add(lease),
        version: None,
    }
}

/// The outcome of a run, not yet recorded.
enum Decided {
    Returned(Option<String>, Json),
    Failed(Option<String>, TaskError),
    Unknown(String),
}

/// What is known about a run besides its outcome.
struct Report {
    request_id: Option<String>,
    start: Start,
    /// The version that ran, if the claim did not record it.
    ran: Option<VersionNumber>,
}

/// What became of the Task's `task_started`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Published,
    /// It was refused, or there is no answer yet.
    NotPublished,
    /// The code was not called.
    Never,
}

impl Start {
    /// Whether it needs no more care.
    fn is_settled(self) -> bool {
        self != Self::NotPublished
    }
}

/// The least time between the end of a run and the end of its lease. It allows for recording the outcome, and for
/// differences between the clocks of two processes.
const TIME_TO_RECORD: Duration = Duration::from_secs(15);

/// How long a claim without an answer is repeated. A run that starts then still has some time before it would be too late.
pub(super) const CLAIM_PATIENCE: Duration = Duration::from_secs(10);
const _: () = assert!(CLAIM_PATIENCE.as_secs() + TIME_TO_RECORD.as_secs() < RUN_GRACE.as_secs());

/// The first pause before a failed call is repeated.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Runner {
    pub fn new(store: Store, ports: Ports) -> Self {
        Self { store, ports }
    }

    /// Runs a queued Task that was claimed with `run`. Failures are handled by the Function's retry policy.
    ///
    /// `function` is the Function as the run gets it: its current version, or its canary.
    pub async fn run_queued(&self, mut record: TaskRecord, function: &Function, run: &Run) -> Ended {
        let version = function.history.current.number;
        let ran = run.version.is_none().then_some(version);
        record.task.function_version = Some(version);
        let (decided, start) = self.invoke_and_publish(&record.task, function, run, Patience::UntilLeaseEnds).await;
        match decided {
            Decided::Returned(request_id, result) => {
                if let Some(keep) = kept_by(&record.task, function) {
                    results::keep(&self.store, &self.ports, record.task.id, run, &result, keep).await;
                }
                let (task, now) = (record.task, self.ports.clock.now());
                let done = task.ended(TaskStatus::Complete, None, now);
                let then = following(&self.store, &self.ports, &done, Some(&result), now).await;
                // Results can have 6 MB each, so they do not stay in memory while the outcomes of many runs are recorded.
                drop(result);
                self.record_complete(done, run, Report { request_id, start, ran }, then, ()).await
            }
            Decided::Failed(request_id, error) => {
                let (policy, earlier_runs) = (&function.retry_policy, record.task.retry_for_task_ids.len());
                let delay = delay_before_retry(policy, &error.name, earlier_runs, &*self.ports.chance);
                match delay {
                    Some(delay) => {
                        self.record_retried(record, run, Report { request_id, start, ran }, error, delay).await
                    }
                    None => self.record_failed(record.task, run, Report { request_id, start, ran }, error).await,
                }
            }
            Decided::Unknown(why) => Ended::Unknown(why),
        }
    }

    /// Runs a Task whose caller is waiting. It is never retried, because the caller gets the failure (contract §4).
    /// `keep` says how long its result is kept for those who ask later, unless the Function keeps all of them.
    pub async fn run_direct(&self, task: Task, function: &Function, run: &Run, keep: Option<Keep>) -> Ended<Json> {
        let (decided, start) = self.invoke_and_publish(&task, function, run, Patience::None).await;
        let ran = None;
        match decided {
            Decided::Returned(request_id, result) => {
                if let Some(keep) = kept_by(&task, function).or(keep) {
                    results::keep(&self.store, &self.ports, task.id, run, &result, keep).await;
                }
                let done = task.ended(TaskStatus::Complete, None, self.ports.clock.now());
                self.record_complete(done, run, Report { request_id, start, ran }, None, result).await
            }
            Decided::Failed(request_id, error) => {
                self.record_failed(task, run, Report { request_id, start, ran }, error).await
            }
            Decided::Unknown(why) => Ended::Unknown(why),
        }
    }

    /// Fails a claimed Task that cannot run at all.
    pub async fn fail_unrun(&self, task: Task, run: &Run, error: TaskError) -> Ended {
        self.record_failed(task, run, Report { request_id: None, start: Start::Never, ran: None }, error).await
    }

    /// Deletes a Task that was written for a run which will not take place. If that fails, the ticker cleans it up when
    /// its lease ends.
    pub async fn withdraw(&self, task: ObjectId, run: &Run) -> Result<(), String> {
        let withdraw = || async { self.store.tasks.withdraw(task, &run.attempt).await.map(|()| true) };
        match self.insist(run, withdraw).await {
            Recorded::Yes => Ok(()),
            Recorded::No(why) => Err(why),
        }
    }

    /// Publishes the start of the run, if that was asked for, while the Function runs. The outcome does not wait for it.
    async fn invoke_and_publish(
        &self,
        task: &Task,
        function: &Function,
        run: &Run,
        patience: Patience,
    ) -> (Decided, Start) {
        let invoke = pin!(self.invoke(task, function, run, patience));
        if !task.options.events.contains(TaskEventKind::TaskStarted) {
            return (invoke.await, Start::NotPublished);
        }
        let publish = pin!(publish_start(&self.ports, task, run.started));
        match select(publish, invoke).await {
            Either::Left((true, invoke)) => (invoke.await, Start::Published),
            Either::Left((false, invoke)) => (invoke.await, Start::NotPublished),
            Either::Right((decided, publish)) => {
                let start = if publish.now_or_never() == Some(true) { Start::Published } else { Start::NotPublished };
                (decided, start)
            }
        }
    }

    async fn invoke(&self, task: &Task, function: &Function, run: &Run, patience: Patience) -> Decided {
        let payload = match serde_json::to_vec(task) {
            Ok(json) => Bytes::from(json),
            Err(error) => return Decided::Failed(None, invocation_error("SerializationError", error.to_string())),
        };
        let latest_start = run.lease_expires.saturating_sub(function.time_limit().as_duration() + TIME_TO_RECORD);
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            // If this process was suspended after the claim, its lease and its slot may have expired, and others may
            // consider it dead: it must not start the run.
            if self.ports.clock.now() > latest_start {
                let why = "The run could not be started in time.".to_owned();
                return Decided::Failed(None, invocation_error(STARTED_TOO_LATE, why));
            }
            let request = InvokeRequest {
                function: &function.name,
                deployment: &function.deployment,
                payload: payload.clone(),
                correlation: task.id,
                time_limit: function.time_limit(),
            };
            let lease_ends = self.ports.clock.sleep(run.lease_expires.since(self.ports.clock.now()));
            let answer = tokio::select! {
                biased;
                answer = self.ports.lambda.invoke(request) => answer,
                // From now on the ticker considers the run dead. If it held its slot any longer, the queue would stand
                // still for a response that changes nothing.
                () = lease_ends => Err(InvokeError::OutcomeUnknown("no response arrived before its lease ended".to_owned())),
            };
            match answer {
                Ok(Invocation { request_id, outcome }) => return decide(request_id, outcome),
                Err(InvokeError::Throttled(why)) => {
                    // The code did not run, so this is not a second run. It must still end within the lease.
                    let pause = backoff.pause();
                    let next_try = self.ports.clock.now().saturating_add(pause);
                    if patience == Patience::None || next_try >= latest_start {
                        return Decided::Failed(None, invocation_error(THROTTLED, why));
                    }
                    self.ports.clock.sleep(pause).await;
                }
                Err(InvokeError::Refused { name, message }) => {
                    return Decided::Failed(None, invocation_error(&name, message));
                }
                Err(InvokeError::OutcomeUnknown(why)) => return Decided::Unknown(why),
            }
        }
    }

    /// Records that `done` is complete, and adds the Task that follows.
    async fn record_complete<R>(
        &self,
        done: Task,
        run: &Run,
        Report { request_id, start, ran }: Report,
        then: Option<Following>,
        result: R,
    ) -> Ended<R> {
        let (tasks, id, now) = (&self.store.tasks, done.id, done.status_changed_timestamp);
        let events = done.options.events.at_end(done.status, start.is_settled());
        let consequences = Consequences { then: then.as_ref(), events, ran };
        let recorded =
            self.insist(run, || tasks.complete_then(id, &run.attempt, request_id.as_deref(), consequences, now)).await;
        match recorded {
            Recorded::Yes => {
                info!(task = %id, function = %done.function_name, request_id, "task complete");
                wake_for_following(&self.ports, then.as_ref()).await;
                publish_end(&self.store, &self.ports, &done, Some(run.started), events).await;
                Ended::Complete(done, result)
            }
            Recorded::No(why) => Ended::Unknown(why),
        }
    }

    async fn record_failed<R>(
        &self,
        task: Task,
        run: &Run,
        Report { request_id, start, ran }: Report,
        reason: TaskError,
    ) -> Ended<R> {
        let now = self.ports.clock.now();
        let task = task.ended(TaskStatus::Failed, Some(reason.clone()), now);
        let then = following(&self.store, &self.ports, &task, None, now).await;
        let (tasks, id) = (&self.store.tasks, task.id);
        let events = task.options.events.at_end(task.status, start.is_settled());
        let consequences = Consequences { then: then.as_ref(), events, ran };
        let recorded = self
            .insist(run, || tasks.fail_then(id, &run.attempt, &reason, request_id.as_deref(), consequences, now))
            .await;
        match recorded {
            Recorded::Yes => {
                info!(task = %id, function = %task.function_name, request_id, error = reason.name, "task failed");
                wake_for_following(&self.ports, then.as_ref()).await;
                publish_end(&self.store, &self.ports, &task, Some(run.started), events).await;
                Ended::Failed(task, reason)
            }
            Recorded::No(why) => Ended::Unknown(why),
        }
    }

    async fn record_retried(
        &self,
        record: TaskRecord,
        run: &Run,
        Report { request_id, start, ran }: Report,
        reason: TaskError,
        delay: Duration,
    ) -> Ended {
        let TaskRecord { task, queue, data, .. } = record;
        let now = self.ports.clock.now();
        let next = Task::retry_of(&task, self.ports.ids.next(now), now, delay);
        let events = task.options.events.at_end(TaskStatus::Retried, start.is_settled());
        let retry = NextTask { task: &next, queue, data, events, ran };
        let recorded = self
            .insist(run, || self.store.tasks.retry(task.id, &run.attempt, &reason, request_id.as_deref(), retry, now))
            .await;
        match recorded {
            Recorded::Yes => {
                info!(
                    task = %task.id, function = %task.function_name, request_id, error = reason.name,
                    next = %next.id, delay_s = delay.as_secs(), "task retried"
                );
                if let Err(error) = self.ports.wakeups.wake(Wakeup::for_task(next.id, delay)).await {
                    warn!(task = %next.id, %error, "no wake-up was sent; the ticker will find the task");
                }
                let mut task = task.ended(TaskStatus::Retried, Some(reason.clone()), now);
                task.retried_by_task_id = Some(next.id);
                publish_end(&self.store, &self.ports, &task, Some(run.started), events).await;
                Ended::Failed(task, reason)
            }
            Recorded::No(why) => Ended::Unknown(why),
        }
    }

    /// Repeats the write of an outcome while the lease lasts: the run took place, and only this process knows its
    /// outcome. All of these writes are idempotent.
    async fn insist<'a, F>(&'a self, run: &Run, mut write: impl FnMut() -> F) -> Recorded
    where
        F: Future<Output = Result<bool, StoreError>> + 'a,
    {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let error = match write().await {
                Ok(true) => return Recorded::Yes,
                Ok(false) => return Recorded::No("the run was considered dead before it ended".to_owned()),
                Err(error) => error,
            };
            let pause = backoff.pause();
            if self.ports.clock.now().saturating_add(pause) >= run.lease_expires {
                error!(%error, "the outcome of a run could not be recorded before its lease ended");
                return Recorded::No(error.to_string());
            }
            warn!(%error, "the outcome of a run could not be recorded; trying again");
            self.ports.clock.sleep(pause).await;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// A caller is waiting: no second attempt.
    None,
    /// No caller is waiting: throttled runs are repeated while they can still end in time.
    UntilLeaseEnds,
}

enum Recorded {
    Yes,
    No(String),
}

/// How long the result of this Task is kept; `None` if it is not.
fn kept_by(task: &Task, function: &Function) -> Option<Keep> {
    task.options.store_result.or(function.store_result).unwrap_or_default().then_some(Keep::AsTasks)
}

fn decide(request_id: String, outcome: Outcome) -> Decided {
    match outcome {
        // The code ran to its end, whatever it returned: failing the Task could run it again. A result that is not JSON
        // becomes a JSON string.
        Outcome::Returned(bytes) => {
            let as_text = |_| serde_json::Value::from(String::from_utf8_lossy(&bytes)).into();
            Decided::Returned(Some(request_id), Json::returned(&bytes).unwrap_or_else(as_text))
        }
        Outcome::Failed(error) => Decided::Failed(
            Some(request_id),
            TaskError { kind: TaskErrorKind::Runtime, name: error.name, message: error.message },
        ),
    }
}

fn invocation_error(name: &str, message: String) -> TaskError {
    TaskError { kind: TaskErrorKind::Invocation, name: name.to_owned(), message }
}
