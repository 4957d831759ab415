//! Requests to AWS Lambda, and their results.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Configuration, Deployment, FunctionName, Json, ObjectId, TimeLimit,
    json::scan::{elements, unescape},
};

/// A Function to deploy to Lambda.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionSpec {
    /// Its name, without the deployment's prefix, which the adapter adds.
    pub name: FunctionName,
    /// Its configuration.
    pub configuration: Configuration,
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
    /// The stack trace, one line each. Never part of a response to a caller.
    #[serde(rename = "stackTrace", alias = "trace", default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<String>,
}

impl FunctionError {
    /// Reads an error as a runtime reports it: JSON with `errorType`, `errorMessage` and the stack trace. Missing parts
    /// are empty. The report itself is never the message: it could hold a stack trace.
    pub fn read(report: &[u8]) -> Self {
        const UNREADABLE: &str = "The runtime's report of the error cannot be read.";
        const NO_MESSAGE: &str = "the runtime reported an error without a message";
        let text = String::from_utf8_lossy(report);
        let only = |message: &str| Self { name: String::new(), message: message.to_owned(), trace: Vec::new() };
        let Ok(report) = Json::parse(text.clone().into_owned()) else {
            let is_broken = text.trim_start().starts_with(['{', '[']);
            return only(if is_broken { UNREADABLE } else { &text });
        };
        let said = |value: &str| match value {
            "null" => String::new(),
            text if text.starts_with('"') => unescape(text).into_owned(),
            other => other.to_owned(),
        };
        if report.as_str().starts_with('[') {
            return only(NO_MESSAGE);
        }
        if !report.is_object() {
            return only(&said(report.as_str()));
        }
        let field = |name: &str| report.field(name).filter(|value| *value != "null");
        let trace = field("stackTrace").or_else(|| field("trace")).into_iter().flat_map(elements);
        Self {
            name: field("errorType").map(said).unwrap_or_default(),
            message: field("errorMessage").or_else(|| field("message")).map_or_else(|| NO_MESSAGE.to_owned(), said),
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
    /// The connection broke, or no response came: the code may have run, or may still be running.
    #[error("the outcome of the run is unknown: {0}")]
    OutcomeUnknown(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(report: &str) -> (String, String, Vec<String>) {
        let FunctionError { name, message, trace } = FunctionError::read(report.as_bytes());
        (name, message, trace)
    }

    #[test]
    fn an_error_has_the_name_the_message_and_the_trace_that_its_runtime_reported() {
        let report = r#"{"errorType": "E", "errorMessage": "said \"no\"", "stackTrace": ["at a", "at b"], "more": 1}"#;
        assert_eq!(read(report), ("E".into(), "said \"no\"".into(), vec!["at a".into(), "at b".into()]));
        let report = r#"{"errorType": "E", "errorMessage": null, "message": "m", "trace": ["at a"]}"#;
        assert_eq!(read(report), ("E".into(), "m".into(), vec!["at a".into()]));
        for (report, message) in
            [("gone wrong", "gone wrong"), (r#""gone wrong""#, "gone wrong"), ("null", ""), ("", "")]
        {
            assert_eq!(read(report), (String::new(), message.into(), Vec::new()), "{report}");
        }
    }

    #[test]
    fn a_report_is_never_its_own_message() {
        for report in [
            r#"{"errorType": "E", "stackTrace": ["at secret"]}"#,
            r#"{"errorType": "E", "errorMessage": null, "trace": ["at secret"]}"#,
            r#"{"stack": "at secret"}"#,
            r#"["at secret"]"#,
            r#" ["at secret"]"#,
            r#"{"errorMessage": "m", "stack": "at secret"#,
            r#"["at secret""#,
            "\n{'stack': 'at secret'}",
        ] {
            let (_, message, _) = read(report);
            assert!(!message.contains("secret") && message.contains("report"), "{report}: {message}");
        }
    }
}
