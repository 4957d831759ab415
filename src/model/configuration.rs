//! The part of a Function that Lambda holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::ToSchema;

use super::{AwsOptions, Environment, LayerArn, MemoryLimit, Runtime, Secrets, TimeLimit, text::checked_text};

/// A Function's configuration in Lambda. A change of it is a new deployment.
///
/// Its JSON is part of stored rows and files, and holds the values of the environment: it is never shown to a caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Configuration {
    /// Lambda's Description: what the Function is for, at most 256 characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// Lambda's Handler, such as `index.handler`.
    pub entry_point: EntryPoint,
    /// Lambda's Runtime.
    pub runtime: Runtime,
    /// Lambda's Timeout: how long one run may take.
    pub time_limit: TimeLimit,
    /// Lambda's MemorySize: how much memory one run may use.
    pub memory_limit: MemoryLimit,
    /// Lambda's Environment.
    #[serde(serialize_with = "write_environment", deserialize_with = "read_environment")]
    pub environment: Environment,
    /// More variables of its environment, whose values are elsewhere.
    #[serde(skip_serializing_if = "Secrets::is_empty", default)]
    pub secrets: Secrets,
    /// What only AWS can carry out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub aws: Option<AwsOptions>,
}

impl Configuration {
    /// A configuration with every default.
    pub fn new(entry_point: EntryPoint, runtime: Runtime) -> Self {
        Self {
            description: None,
            entry_point,
            runtime,
            time_limit: TimeLimit::default(),
            memory_limit: MemoryLimit::default(),
            environment: Environment::default(),
            secrets: Secrets::default(),
            aws: None,
        }
    }

    /// A variable that is both in the environment and among the secrets, which would leave open which value it has.
    pub fn ambiguous_variable(&self) -> Option<&str> {
        self.environment.iter().map(|(name, _)| name).find(|name| self.secrets.get(name).is_some())
    }

    /// The layers below its code, lowest first.
    pub fn layers(&self) -> &[LayerArn] {
        self.aws.as_ref().map_or(&[], AwsOptions::layers)
    }
}

// `Environment` itself has no JSON, so that nothing shows its values by accident.
fn write_environment<S: Serializer>(environment: &Environment, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(environment.iter())
}

fn read_environment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Environment, D::Error> {
    Environment::parse(BTreeMap::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// The function in the code that Lambda calls, its `Handler`: 1–128 characters without white space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 128, example = "index.handler")]
pub struct EntryPoint(String);

/// The string is not a valid [`EntryPoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 characters without white space, e.g. index.handler")]
pub struct InvalidEntryPoint;

impl EntryPoint {
    /// Checks an entry point by Lambda's rule.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidEntryPoint> {
        let text = text.into();
        let fits = (1..=128).contains(&text.len()) && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if fits { Ok(Self(text)) } else { Err(InvalidEntryPoint) }
    }
}

checked_text!(EntryPoint, InvalidEntryPoint);
