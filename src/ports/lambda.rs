//! Runs Functions.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{PortError, PortFuture};
use crate::model::{
    Configuration, Deployment, FunctionName, Json, ObjectId, TimeLimit,
    json::scan::{elements, unescape},
};

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

/// The Function that Lambda is to hold.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionSpec {
    /// Its name, without the deployment's prefix, which the adapter adds.
    pub name: FunctionName,
    /// Its configuration.
    pub configuration: Configuration,
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
