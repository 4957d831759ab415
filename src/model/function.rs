//! Functions: code plus configuration, one real AWS Lambda function each (contract §2).

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use super::{CodeSha256, Runtime, Timestamp, shorten};

/// A Function, without its code: that lives in Lambda.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Unique among all Functions.
    pub name: FunctionName,
    /// What it is for, at most 256 characters.
    pub description: Option<String>,
    /// What Lambda calls, e.g. `index.handler`.
    pub entry_point: EntryPoint,
    /// What runs it.
    pub runtime: Runtime,
    /// How long one run may take.
    pub time_limit: TimeLimit,
    /// How much memory one run may take.
    pub memory_limit: MemoryLimit,
    /// What its process finds in its environment.
    pub environment: Environment,
    /// What happens after a run failed.
    pub retry_policy: RetryPolicy,
    /// Who may run it, and how.
    pub execution_options: ExecutionOptions,
    /// A disabled Function runs nothing, and its waiting Tasks wait.
    pub enabled: bool,
    /// When a caller last changed it.
    pub update_timestamp: Timestamp,
    /// What Lambda holds of it: written together with the configuration, so that a call sees old with old or new with new.
    pub deployment: Deployment,
    /// Where its due Tasks queue.
    pub lane: Lane,
}

impl Function {
    /// What lists show of it.
    pub fn summary(&self) -> FunctionSummary {
        FunctionSummary {
            name: self.name.clone(),
            description: self.description.clone().unwrap_or_default(),
            update_timestamp: self.update_timestamp,
        }
    }
}

/// What `GET /functions` shows of a Function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionSummary {
    /// Its name.
    pub name: FunctionName,
    /// What it is for; empty when nobody said.
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
/// One that may be held back (disabled, or with a limit of its own) queues apart from the others, so that its waiting
/// Tasks never stand in front of theirs and a claim never has to read past them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lane {
    /// With every other Function.
    Shared,
    /// Alone. Once apart, a Function stays apart.
    Own,
}

/// A Function's name: `^[A-Za-z0-9_-]+$`, 1–64 characters (with a deployment's prefix before it, which
/// [`FunctionName::fits_prefix`] checks).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(description = "A Function's name.", value_type = String, pattern = "^[A-Za-z0-9_-]+$", min_length = 1, max_length = 64, example = "invoices")]
pub struct FunctionName(String);

/// Why a text is no [`FunctionName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 of the characters A-Z a-z 0-9 _ -")]
pub struct InvalidFunctionName;

impl FunctionName {
    /// Takes a name by the rule.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidFunctionName> {
        let text = text.into();
        let fits =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if fits { Ok(Self(text)) } else { Err(InvalidFunctionName) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the Lambda function: `<prefix>-<name>`.
    pub fn in_lambda(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.0)
    }

    /// Whether Lambda's 64 characters hold it with this prefix.
    pub fn fits_prefix(&self, prefix: &str) -> bool {
        prefix.len() + 1 + self.0.len() <= 64
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for FunctionName {
    type Error = InvalidFunctionName;
    fn try_from(text: String) -> Result<Self, InvalidFunctionName> {
        Self::parse(text)
    }
}

impl From<FunctionName> for String {
    fn from(name: FunctionName) -> Self {
        name.0
    }
}

/// What Lambda calls: its `Handler`, 1–128 characters without white space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 128, example = "index.handler")]
pub struct EntryPoint(String);

/// Why a text is no [`EntryPoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 characters without white space, e.g. index.handler")]
pub struct InvalidEntryPoint;

impl EntryPoint {
    /// Takes an entry point by Lambda's rule.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidEntryPoint> {
        let text = text.into();
        let fits = (1..=128).contains(&text.len()) && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if fits { Ok(Self(text)) } else { Err(InvalidEntryPoint) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EntryPoint {
    type Error = InvalidEntryPoint;
    fn try_from(text: String) -> Result<Self, InvalidEntryPoint> {
        Self::parse(text)
    }
}

impl From<EntryPoint> for String {
    fn from(entry_point: EntryPoint) -> Self {
        entry_point.0
    }
}

macro_rules! bounded_integer {
    ($(#[$doc:meta])* $name:ident($inner:ty) = $min:literal..=$max:literal, $error:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "i64", into = "i64")]
        pub struct $name($inner);

        #[doc = concat!("Why a number is no [`", stringify!($name), "`].")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error($rule)]
        pub struct $error;

        impl $name {
            /// The smallest value.
            pub const MIN: Self = Self($min);
            /// The largest value.
            pub const MAX: Self = Self($max);

            /// Takes a number within the bounds.
            pub fn new(number: i64) -> Result<Self, $error> {
                match <$inner>::try_from(number) {
                    Ok(number) if ($min..=$max).contains(&number) => Ok(Self(number)),
                    _ => Err($error),
                }
            }

            /// The number.
            pub fn get(self) -> $inner {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = $error;
            fn try_from(number: i64) -> Result<Self, $error> {
                Self::new(number)
            }
        }

        impl From<$name> for i64 {
            fn from(value: $name) -> Self {
                Self::from(value.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .description(Some($rule))
                    .minimum(Some(<$inner>::from(Self::MIN.0)))
                    .maximum(Some(<$inner>::from(Self::MAX.0)))
                    .into()
            }
        }

        impl ToSchema for $name {}
    };
}

bounded_integer! {
    /// How long one run may take, in seconds: 3–300, default 30.
    TimeLimit(u16) = 3..=300, InvalidTimeLimit, "must be a whole number of seconds from 3 to 300"
}
bounded_integer! {
    /// How much memory one run may take, in MB: 128–10240, default 128.
    MemoryLimit(u16) = 128..=10240, InvalidMemoryLimit, "must be a whole number of MB from 128 to 10240"
}
bounded_integer! {
    /// Which of two due Tasks runs first: the higher. Within ±9007199254740991, default 0.
    Priority(i64) = -9_007_199_254_740_991..=9_007_199_254_740_991, InvalidPriority,
    "must be a whole number from -9007199254740991 to 9007199254740991"
}
bounded_integer! {
    /// How many runs of one Function may be in progress at once: 1–1000.
    ConcurrencyLimit(u16) = 1..=1000, InvalidConcurrencyLimit, "must be a whole number from 1 to 1000"
}

impl Default for TimeLimit {
    fn default() -> Self {
        Self(30)
    }
}

impl Default for MemoryLimit {
    fn default() -> Self {
        Self(128)
    }
}

#[allow(clippy::derivable_impls)] // beside its siblings, whose defaults are not zero
impl Default for Priority {
    fn default() -> Self {
        Self(0)
    }
}

impl TimeLimit {
    /// The longest that a caller can be kept waiting for an answer: direct executions and API Functions (contract §4, §5).
    pub const LONGEST_DIRECT: Self = Self(30);

    /// As a duration.
    pub fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_secs(u64::from(self.0))
    }
}

/// A Function's environment variables. The values are the user's secrets: `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

/// Why Lambda would refuse an environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnvironment {
    /// A name that is not `[A-Za-z][A-Za-z0-9_]+`.
    #[error("the environment variable '{0}' has a name that Lambda does not take: it must match [A-Za-z][A-Za-z0-9_]+")]
    Name(String),
    /// A name that Lambda sets itself.
    #[error("the environment variable '{0}' is reserved: Lambda sets it itself")]
    Reserved(String),
    /// Too much in all.
    #[error("the environment variables take {0} bytes, names and values together; Lambda takes at most 4096")]
    TooLarge(usize),
    /// A NUL byte in a value.
    #[error("the environment variable '{0}' has a NUL character in its value")]
    Nul(String),
}

/// The names that Lambda sets itself and refuses in a configuration.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
const RESERVED_VARIABLES: &[&str] = &[
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

impl Environment {
    /// The most that Lambda takes, names and values together, in bytes.
    pub const MAX_BYTES: usize = 4096;

    /// Takes what Lambda takes.
    pub fn parse(variables: BTreeMap<String, String>) -> Result<Self, InvalidEnvironment> {
        for (name, value) in &variables {
            if RESERVED_VARIABLES.contains(&name.as_str()) {
                return Err(InvalidEnvironment::Reserved(name.clone()));
            }
            let mut bytes = name.bytes();
            let fits = name.len() >= 2
                && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
                && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !fits {
                return Err(InvalidEnvironment::Name(shorten(name).to_owned()));
            }
            if value.contains('\0') {
                return Err(InvalidEnvironment::Nul(name.clone()));
            }
        }
        let bytes = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > Self::MAX_BYTES { Err(InvalidEnvironment::TooLarge(bytes)) } else { Ok(Self(variables)) }
    }

    /// The names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What happens after a run failed: `{enabled, errorsToRetry}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// Whether failed runs are tried again.
    pub enabled: bool,
    /// The names of the errors that are; none: every error.
    #[serde(default)]
    pub errors_to_retry: Vec<String>,
}

impl RetryPolicy {
    /// Whether a run that failed with an error of this name is tried again, as far as the policy goes.
    pub fn covers(&self, error_name: &str) -> bool {
        self.enabled && (self.errors_to_retry.is_empty() || self.errors_to_retry.iter().any(|name| name == error_name))
    }
}

/// Who may run a Function, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionOptions {
    /// Who may execute it directly or call it as an API Function.
    #[serde(default)]
    pub permission_mode: PermissionMode,
    /// The priority of its Tasks when nobody says otherwise.
    #[serde(default)]
    pub default_priority: Priority,
    /// How many of its runs may be in progress at once, within the deployment's own limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub concurrency_limit: Option<ConcurrencyLimit>,
}

/// Who may execute a Function directly or call it as an API Function (contract §6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(description = "Who may execute a Function directly or call it as an API Function.")]
pub enum PermissionMode {
    /// Whoever holds the permission.
    #[default]
    PermissionRequired,
    /// Whoever is logged in.
    AllUsers,
    /// Anybody.
    Public,
}

impl PermissionMode {
    /// Every mode with its name.
    pub const NAMES: [(&'static str, Self); 3] =
        [("permissionRequired", Self::PermissionRequired), ("allUsers", Self::AllUsers), ("public", Self::Public)];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_what_lambda_takes() {
        assert!(FunctionName::parse("my-Function_1").is_ok());
        for text in ["", "a b", "a/b", "../a", "é", &"a".repeat(65)] {
            assert_eq!(FunctionName::parse(text), Err(InvalidFunctionName), "{text}");
        }
        let name = FunctionName::parse("a".repeat(60)).unwrap();
        assert!(name.fits_prefix("dev") && !name.fits_prefix("prod"));
    }

    #[test]
    fn environments_keep_to_what_lambda_takes() {
        let parse = |name: &str, value: &str| Environment::parse(BTreeMap::from([(name.to_owned(), value.to_owned())]));
        assert!(parse("CLIENT_ID", "").is_ok());
        assert_eq!(parse("AWS_REGION", "x"), Err(InvalidEnvironment::Reserved("AWS_REGION".into())));
        assert_eq!(parse("1A", "x"), Err(InvalidEnvironment::Name("1A".into())));
        assert!(parse("AB", &"x".repeat(4094)).is_ok());
        assert_eq!(parse("AB", &"x".repeat(4095)), Err(InvalidEnvironment::TooLarge(4097)));
    }

    #[test]
    fn debug_keeps_environment_values_to_itself() {
        let environment = Environment::parse(BTreeMap::from([("API_KEY".into(), "s3cret".into())])).unwrap();
        assert_eq!(format!("{environment:?}"), r#"{"API_KEY"}"#);
    }

    #[test]
    fn a_policy_covers_every_error_until_it_names_some() {
        let mut policy = RetryPolicy { enabled: true, errors_to_retry: vec![] };
        assert!(policy.covers("Anything"));
        policy.errors_to_retry = vec!["CONNECTION_ERROR".into()];
        assert!(policy.covers("CONNECTION_ERROR") && !policy.covers("Anything"));
        policy.enabled = false;
        assert!(!policy.covers("CONNECTION_ERROR"));
    }
}
