//! Functions: code plus configuration, one real AWS Lambda function each (contract §2).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    CodeSha256, Configuration, ExecutionOptions, Flow, History, JsonSchema, ObjectId, RetryPolicy, TaskEvents,
    TimeLimit, Timeouts, Timestamp, text::checked_text,
};

/// A Function, without its code, which only Lambda holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Unique among all Functions.
    pub name: FunctionName,
    /// The part that Lambda holds.
    pub configuration: Configuration,
    /// Whether and when a failed run is retried.
    pub retry_policy: RetryPolicy,
    /// Who may run it, and how.
    pub execution_options: ExecutionOptions,
    /// How long its Tasks may wait, unless they set their own.
    pub timeouts: Timeouts,
    /// Whether it may run; the Tasks of a disabled Function wait.
    pub enabled: bool,
    /// When a caller last changed it.
    pub update_timestamp: Timestamp,
    /// The version in Lambda. It is written together with the configuration, so that a call sees either both old values
    /// or both new ones.
    pub deployment: Deployment,
    /// Where its due Tasks queue.
    pub lane: Lane,
    /// Whether the results of its Tasks are kept; no by default.
    pub store_result: Option<bool>,
    /// What its Tasks publish besides their failures.
    pub events: TaskEvents,
    /// How its Tasks with the same key take turns.
    pub flow: Option<Flow>,
    /// What the `data` of its Tasks must look like.
    pub data_schema: Option<JsonSchema>,
    /// What its results look like. Nobody checks it: it is for those who write code.
    pub result_schema: Option<JsonSchema>,
    /// Which version it is, and which one is being tried.
    pub history: History,
    /// Whether this process runs it under a debugger, which may stop it at any time. Never stored.
    pub is_inspected: bool,
}

impl Function {
    /// A Function that was deployed with this configuration, with every other default.
    pub fn new(name: FunctionName, configuration: Configuration, deployment: Deployment, now: Timestamp) -> Self {
        Self {
            name,
            configuration,
            retry_policy: RetryPolicy::default(),
            execution_options: ExecutionOptions::default(),
            timeouts: Timeouts::default(),
            enabled: true,
            update_timestamp: now,
            deployment,
            lane: Lane::Shared,
            store_result: None,
            events: TaskEvents::default(),
            flow: None,
            data_schema: None,
            result_schema: None,
            history: History::new(None, now),
            is_inspected: false,
        }
    }

    /// How long one run may take: as configured, or under a debugger as long as any run may.
    pub fn time_limit(&self) -> TimeLimit {
        if self.is_inspected { TimeLimit::MAX } else { self.configuration.time_limit }
    }

    /// How long one run may take, whichever version it gets.
    pub fn longest_time_limit(&self) -> TimeLimit {
        let canary = self.history.canary.as_ref().map(|canary| canary.configuration.time_limit);
        canary.unwrap_or(self.time_limit()).max(self.time_limit())
    }

    /// The Function as the runs of the chain that begins with this id get it: its canary, or as it is.
    pub fn for_chain(self: &Arc<Self>, first: ObjectId) -> Arc<Self> {
        match self.history.canary.as_ref().filter(|canary| canary.gets(first)) {
            None => Arc::clone(self),
            Some(canary) => {
                let mut tried = Self::clone(self);
                tried.configuration.clone_from(&canary.configuration);
                tried.deployment.clone_from(&canary.deployment);
                tried.history.current.number = canary.version;
                Arc::new(tried)
            }
        }
    }

    /// The Function as lists show it.
    pub fn summary(&self) -> FunctionSummary {
        FunctionSummary {
            name: self.name.clone(),
            description: self.configuration.description.clone().unwrap_or_default(),
            update_timestamp: self.update_timestamp,
        }
    }
}

/// A Function as `GET /functions` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionSummary {
    /// Its name.
    pub name: FunctionName,
    /// What it is for; empty when there is no description.
    #[serde(default)]
    pub description: String,
    /// When a caller last changed it.
    pub update_timestamp: Timestamp,
}

/// One immutable version of a Function's code and Lambda configuration, as the Lambda port named it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// The version: a number on AWS, a content hash on one machine. Opaque to everything but the Lambda port.
    pub version: String,
    /// The hash of its code.
    pub code_sha256: CodeSha256,
}

/// Where a Function's due Tasks queue.
///
/// A Function that may be held back (disabled, or with a limit or a flow of its own) queues separately, so that its waiting
/// Tasks never stand in front of others and a claim never has to read past them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lane {
    /// Together with other Functions.
    Shared,
    /// Alone. A Function never goes back to the shared lane.
    Own,
}

/// A Function's name: `^[A-Za-z0-9_-]+$`, 1–64 characters (with a deployment's prefix before it, which
/// [`FunctionName::fits_prefix`] checks).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(description = "A Function's name.", value_type = String, pattern = "^[A-Za-z0-9_-]+$", min_length = 1, max_length = 64, example = "invoices")]
pub struct FunctionName(String);

/// The string is not a valid [`FunctionName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 of the characters A-Z a-z 0-9 _ -")]
pub struct InvalidFunctionName;

impl FunctionName {
    /// Checks a name by this rule.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidFunctionName> {
        let text = text.into();
        let fits =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if fits { Ok(Self(text)) } else { Err(InvalidFunctionName) }
    }

    /// The name of the Lambda function: `<prefix>-<name>`.
    pub fn in_lambda(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.0)
    }

    /// Whether it fits into Lambda's 64 characters, together with this prefix.
    pub fn fits_prefix(&self, prefix: &str) -> bool {
        prefix.len() + 1 + self.0.len() <= 64
    }
}

checked_text!(FunctionName, InvalidFunctionName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_lambda() {
        assert!(FunctionName::parse("my-Function_1").is_ok());
        for text in ["", "a b", "a/b", "../a", "é", &"a".repeat(65)] {
            assert_eq!(FunctionName::parse(text), Err(InvalidFunctionName), "{text}");
        }
        let name = FunctionName::parse("a".repeat(60)).unwrap();
        assert!(name.fits_prefix("dev") && !name.fits_prefix("prod"));
    }
}
