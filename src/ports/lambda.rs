//! Deploys and runs Functions.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{PortError, PortFuture};
use crate::model::{
    Configuration, Deployment, FunctionName, Json, ObjectId, TimeLimit,
    json::scan::{elements, unescape},
};

/// AWS Lambda, or a stand-in for it.
pub trait Lambda: Send + Sync {
    /// Deploys this code and configuration, creating the Lambda function if there is none, and returns once it can be
    /// invoked. Earlier deployments stay invocable until [`Lambda::retire`] drops them, so that a caller who read the old
    /// record still runs the old code with the old configuration.
    ///
    /// `code` is absent when only the configuration changes; then `current` names the deployment that holds the code.
    /// Nothing is written when nothing changed.
    fn deploy<'a>(
        &'a self,
        spec: &'a FunctionSpec,
        code: Option<Bytes>,
        current: Option<&'a Deployment>,
    ) -> PortFuture<'a, Result<Deployment, DeployError>>;

    /// Drops `replaced`, which no record names any more, and earlier deployments, once no run that was started with them
    /// can still be in progress; callers who read the record a moment ago may still start one. A deployment that was
    /// repeated meanwhile stays. A failure here costs storage, never correctness.
    fn retire<'a>(
        &'a self,
        function: &'a FunctionName,
        replaced: &'a Deployment,
    ) -> PortFuture<'a, Result<(), PortError>>;

    /// Removes the Lambda function; its logs stay. It is not an error if there is none. A concurrent deployment stays.
    fn remove<'a>(&'a self, function: &'a FunctionName) -> PortFuture<'a, Result<(), PortError>>;

    /// Runs the Function once and waits for its outcome. It never retries: a second run must never happen by accident.
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

/// A deployment failed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The code is not a zip that Lambda accepts (1401).
    #[error("{0}")]
    InvalidCode(String),
    /// Lambda does not accept the configuration (1402).
    #[error("{0}")]
    InvalidConfiguration(String),
    /// The Lambda function is being changed concurrently (1502).
    #[error("{0}")]
    Conflict(String),
    /// The port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// One run to start.
#[derive(Clone, Debug)]
pub struct InvokeRequest<'a> {
    /// The Function.
    pub function: &'a FunctionName,
    /// The version to run.
    pub deployment: &'a Deployment,
    /// The event, as JSON.
    pub payload: Bytes,
    /// The Task or API Request that this run is for. Some adapters can find its log lines by this while it is still
    /// running.
    pub correlation: ObjectId,
    /// How long the run may take. The adapter waits a little longer than that for the outcome.
    pub time_limit: TimeLimit,
}

/// A run that took place.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Lambda's id of the run, which its log lines carry.
    pub request_id: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The code returned this JSON.
    Returned(Bytes),
    /// The code threw, exited, ran out of time or memory, or never reached its handler. The names are Lambda's.
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
    /// Reads an error as a runtime reports it: JSON with `errorType`, `errorMessage` and the stack trace. Absent fields are
    /// empty. Other fields never become part of the message, because they could contain a stack trace.
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

/// The invocation failed: the code did not run, or it is unknown whether it did.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// Lambda had no capacity. The code did not run.
    #[error("Lambda had no capacity to run the Function: {0}")]
    Throttled(String),
    /// Lambda refused (no such version, payload too large, …). The code did not run. `name` is Lambda's name for it.
    #[error("Lambda did not run the Function: {name}: {message}")]
    Refused {
        /// Lambda's name of the error, such as `RequestEntityTooLargeException`.
        name: String,
        /// Its message.
        message: String,
    },
    /// The connection broke, or no answer came: the code may have run, or may still be running.
    #[error("the outcome of the run is unknown: {0}")]
    OutcomeUnknown(String),
}
