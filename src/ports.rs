//! The world outside: the few traits that have more than one real adapter.
//!
//! `aws` implements them on AWS, `local` on one machine, the simulation with faults. Nothing in `service` or
//! `dispatch` reads the clock, the environment or random numbers except through them. The store is no port: it is
//! always DynamoDB, behind `aws-sdk-dynamodb`.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{
    Deployment, EntryPoint, Environment, FunctionName, Json, MemoryLimit, ObjectId, Runtime, TaskError, TimeLimit,
    Timestamp,
    json::scan::{elements, unescape},
};

/// A boxed future: what the methods of a port return, so that `dyn` works.
pub type PortFuture<'a, T> = BoxFuture<'a, T>;

/// Every port, shared by all that need one.
#[derive(Clone)]
pub struct Ports {
    /// Runs Functions.
    pub lambda: Arc<dyn Lambda>,
    /// Wakes dispatchers.
    pub wakeups: Arc<dyn Wakeups>,
    /// Publishes events.
    pub events: Arc<dyn Events>,
    /// Finds log lines.
    pub logs: Arc<dyn Logs>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws ids.
    pub ids: Arc<Ids>,
}

// --- Lambda ---------------------------------------------------------------------------------------------------------

/// AWS Lambda, or what stands in for it.
pub trait Lambda: Send + Sync {
    /// Makes Lambda hold this code and configuration, creating the Lambda function when there is none, and answers
    /// once it can be invoked. What was deployed before stays invocable until [`Lambda::retire`] drops it, so that
    /// a caller who read the old record still runs the old code with the old configuration.
    ///
    /// `code` is absent when only the configuration changes; then `current` names what holds the code. Nothing is
    /// written when nothing changed.
    fn deploy<'a>(
        &'a self,
        spec: &'a FunctionSpec,
        code: Option<Bytes>,
        current: Option<&'a Deployment>,
    ) -> PortFuture<'a, Result<Deployment, DeployError>>;

    /// Lets go of `replaced`, which no record names any more, and of what was deployed before it, once nothing that
    /// was started with it can still be running; callers who read the record a moment ago still start it. What is
    /// deployed again meanwhile stays. A failure here costs storage, never correctness.
    fn retire<'a>(
        &'a self,
        function: &'a FunctionName,
        replaced: &'a Deployment,
    ) -> PortFuture<'a, Result<(), PortError>>;

    /// Removes the Lambda function; its logs stay. Removing what is not there is no error, and what somebody deploys at
    /// that moment stays.
    fn remove<'a>(&'a self, function: &'a FunctionName) -> PortFuture<'a, Result<(), PortError>>;

    /// Runs the Function once and waits for its outcome. Never retries by itself: a second run must never be an
    /// accident.
    fn invoke<'a>(&'a self, request: InvokeRequest<'a>) -> PortFuture<'a, Result<Invocation, InvokeError>>;
}

/// What Lambda needs to know of a Function.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionSpec {
    /// Its name, without the deployment's prefix: that is the adapter's.
    pub name: FunctionName,
    /// Lambda's Description.
    pub description: Option<String>,
    /// Lambda's Handler.
    pub entry_point: EntryPoint,
    /// Lambda's Runtime.
    pub runtime: Runtime,
    /// Lambda's Timeout.
    pub time_limit: TimeLimit,
    /// Lambda's MemorySize.
    pub memory_limit: MemoryLimit,
    /// Lambda's Environment.
    pub environment: Environment,
}

/// Why a deployment did not come about.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The code is not a zip that Lambda takes (1401).
    #[error("{0}")]
    InvalidCode(String),
    /// The configuration is not one that Lambda takes (1402).
    #[error("{0}")]
    InvalidConfiguration(String),
    /// Others change the Lambda function at the same time, and went on doing so (1502).
    #[error("{0}")]
    Conflict(String),
    /// The port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// One run to be made.
#[derive(Clone, Debug)]
pub struct InvokeRequest<'a> {
    /// The Function.
    pub function: &'a FunctionName,
    /// Which version of it.
    pub deployment: &'a Deployment,
    /// The event, as JSON.
    pub payload: Bytes,
    /// The Task or API Request that this run is for: what its log lines can be found by while it still runs, where
    /// the adapter can do that.
    pub correlation: ObjectId,
    /// How long the run may take: the adapter waits a little longer than that for the outcome, not for ever.
    pub time_limit: TimeLimit,
}

/// A run that was made.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Lambda's id of it, which its log lines carry.
    pub request_id: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The code returned this JSON.
    Returned(Bytes),
    /// The code threw, exited, ran out of time or memory, or never came to its handler. Names are Lambda's own.
    Failed(FunctionError),
}

/// How the code failed, as the runtime reported it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionError {
    /// The error's name: its class or `name`, or Lambda's (`Runtime.ExitError`, `Sandbox.Timedout`).
    #[serde(rename = "errorType", default)]
    pub name: String,
    /// Its message.
    #[serde(rename = "errorMessage", default)]
    pub message: String,
    /// The stack trace, a line each. Never part of an answer to a caller.
    #[serde(rename = "stackTrace", alias = "trace", default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<String>,
}

impl FunctionError {
    /// Reads an error as a runtime reports it: JSON with `errorType`, `errorMessage` and the stack trace. What it does not
    /// say is empty. Whatever else it says is no part of the message: that could be a stack trace.
    pub fn read(report: &[u8]) -> Self {
        let text = String::from_utf8_lossy(report);
        let said_without_json =
            |message: &str| Self { name: String::new(), message: message.to_owned(), trace: Vec::new() };
        let Ok(report) = Json::parse(text.clone().into_owned()) else {
            let broken = text.trim_start().starts_with(['{', '[']);
            return said_without_json(if broken { "The runtime's report of the error cannot be read." } else { &text });
        };
        let said = |value: &str| match value {
            "null" => String::new(),
            text if text.starts_with('"') => unescape(text).into_owned(),
            other => other.to_owned(),
        };
        if !report.is_object() {
            return said_without_json(&said(report.as_str()));
        }
        let field = |name: &str| report.field(name).filter(|value| *value != "null");
        let unsaid = || "the runtime reported an error without a message".to_owned();
        let trace = field("stackTrace").or_else(|| field("trace")).into_iter().flat_map(elements);
        Self {
            name: field("errorType").map(said).unwrap_or_default(),
            message: field("errorMessage").or_else(|| field("message")).map_or_else(unsaid, said),
            trace: trace.map(said).collect(),
        }
    }
}

/// A run whose outcome is not known to be a run at all.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// Lambda had no capacity. The code did not run.
    #[error("Lambda had no capacity to run the Function: {0}")]
    Throttled(String),
    /// Lambda refused (no such version, payload too large, …). The code did not run. `name` is Lambda's name for it.
    #[error("Lambda did not run the Function: {name}: {message}")]
    Refused {
        /// Lambda's name of the error, e.g. `RequestEntityTooLargeException`.
        name: String,
        /// What it said.
        message: String,
    },
    /// The connection broke or the answer never came: the code may have run, or still be running.
    #[error("the outcome of the run is unknown: {0}")]
    OutcomeUnknown(String),
}

/// A port failed for a reason that is not the caller's: logged, answered as 1.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {cause}")]
pub struct PortError {
    /// What was being done.
    pub action: &'static str,
    /// Why it failed.
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

impl PortError {
    /// `action` failed because of `cause`.
    pub fn new(action: &'static str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { action, cause: cause.into() }
    }
}

// --- Wake-ups -------------------------------------------------------------------------------------------------------

/// Wakes dispatchers. A wake-up is only a hint: late, lost and doubled ones cost time, never a Task.
pub trait Wakeups: Send + Sync {
    /// Asks that a dispatcher look for due Tasks. Past the adapter's longest delay this does nothing: the ticker promotes
    /// what lies further ahead.
    fn wake<'a>(&'a self, wakeup: Wakeup) -> PortFuture<'a, Result<(), PortError>>;

    /// Tells the ticker that a Schedule came or went, so that it looks again. Where the ticker is started by a clock of
    /// its own, nothing needs to be done.
    fn schedules_changed<'a>(&'a self) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A hint that a dispatcher should look for due Tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wakeup {
    /// When it should look, counted from now.
    pub delay: Duration,
    /// The Task that it is sent for, if it is sent for one. The queue is read from an index, which may show a fresh Task
    /// a moment late: a dispatcher that knows of the Task looks again.
    pub task: Option<ObjectId>,
}

impl Wakeup {
    /// At once, for whatever is due.
    pub const NOW: Self = Self { delay: Duration::ZERO, task: None };

    /// For this Task, which is due after `delay`.
    pub fn for_task(task: ObjectId, delay: Duration) -> Self {
        Self { delay, task: Some(task) }
    }
}

// --- Events ---------------------------------------------------------------------------------------------------------

/// Publishes events, at least once each.
pub trait Events: Send + Sync {
    /// Answers when the event is on the wire for good.
    fn publish<'a>(&'a self, event: &'a TaskFailedEvent) -> PortFuture<'a, Result<(), PortError>>;
}

/// The `task_failed` event: `{id, type, content: {id, functionName, error}}` (contract §4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFailedEvent {
    /// Stable, so that receivers can drop doubles: the Task's id (a Task fails once).
    pub id: ObjectId,
    /// Always `task_failed`.
    #[serde(rename = "type")]
    pub kind: TaskFailedKind,
    /// What failed.
    pub content: TaskFailedContent,
}

/// The one value of [`TaskFailedEvent::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskFailedKind {
    /// `task_failed`.
    #[serde(rename = "task_failed")]
    TaskFailed,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskFailedContent {
    /// The Task.
    pub id: ObjectId,
    /// Its Function.
    pub function_name: FunctionName,
    /// Why.
    pub error: TaskError,
}

impl TaskFailedEvent {
    /// The event of this Task's failure, with what is kept of the error: receivers see the same as the Task shows.
    pub fn new(task: ObjectId, function_name: FunctionName, error: &TaskError) -> Self {
        Self {
            id: task,
            kind: TaskFailedKind::TaskFailed,
            content: TaskFailedContent { id: task, function_name, error: error.shortened() },
        }
    }
}

// --- Logs -----------------------------------------------------------------------------------------------------------

/// Finds what Functions logged.
pub trait Logs: Send + Sync {
    /// The lines of one run, oldest first.
    fn of_run<'a>(&'a self, query: RunLogQuery<'a>) -> PortFuture<'a, Result<Vec<LogLine>, PortError>>;

    /// The lines of all runs of a Function between two moments, both included, oldest first.
    fn of_function<'a>(
        &'a self,
        function: &'a FunctionName,
        from: Timestamp,
        to: Timestamp,
        page: LogPage,
    ) -> PortFuture<'a, Result<Vec<LogLine>, PortError>>;
}

/// Which run's lines.
#[derive(Clone, Debug)]
pub struct RunLogQuery<'a> {
    /// The Function that ran.
    pub function: &'a FunctionName,
    /// The Task or API Request that it ran for.
    pub correlation: ObjectId,
    /// Lambda's id of the run, when it is known already.
    pub request_id: Option<&'a str>,
    /// When the run began.
    pub from: Timestamp,
    /// No line is older than this, if it is given. Unlike the other two it was told by the clock that stamps the lines.
    pub since: Option<Timestamp>,
    /// No line is younger than this: when it had ended for certain.
    pub to: Timestamp,
    /// Which of the lines.
    pub page: LogPage,
}

/// Which part of a list of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// How many to pass over.
    pub offset: usize,
    /// How many to answer at most.
    pub limit: usize,
}

/// One line that a Function logged, or that Lambda logged about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When.
    pub timestamp: Timestamp,
    /// What, without its line end.
    pub message: String,
}

// --- Clock, chance --------------------------------------------------------------------------------------------------

/// Tells the time and waits for it.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Resolves `duration` later.
    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()>;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::saturating_from_millis(jiff::Timestamp::now().as_millisecond())
    }

    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Random numbers that nobody can foresee.
pub trait Chance: Send + Sync {
    /// Fills the bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    fn fill(&self, bytes: &mut [u8]) {
        // Without random numbers no id and no token is safe: there is nothing sensible left to do.
        #[allow(clippy::expect_used)]
        getrandom::fill(bytes).expect("the operating system gives no random numbers");
    }
}

/// Draws ids that ascend within one process, whatever the clock does, and are unique across processes.
pub struct Ids {
    chance: Arc<dyn Chance>,
    last: Mutex<ObjectId>,
}

impl Ids {
    /// Draws from `chance`.
    pub fn new(chance: Arc<dyn Chance>) -> Self {
        Self { chance, last: Mutex::new(ObjectId::first_at(Timestamp::EPOCH)) }
    }

    /// The next id, for something created at `now`.
    pub fn next(&self, now: Timestamp) -> ObjectId {
        let mut bytes = [0; 8];
        self.chance.fill(&mut bytes);
        let drawn = ObjectId::new(now, u64::from_be_bytes(bytes));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Two ids of one millisecond stand in no order of their own; the second follows the first.
        let id = if drawn.time() > last.time() { drawn } else { last.successor() };
        *last = id;
        id
    }

    /// `N` bytes that nobody can foresee, for tokens and nonces.
    pub fn secret<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.chance.fill(&mut bytes);
        bytes
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ids").finish_non_exhaustive()
    }
}
