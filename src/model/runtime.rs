//! The runtimes that Lambda offers for zip packages.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A runtime identifier such as `nodejs22.x` (contract §2).
///
/// It can be any identifier, so that Functions with a runtime that was retired since can still be listed;
/// [`Runtime::is_offered`] says whether a Function may be created with it today.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(description = described(), value_type = String, example = "nodejs22.x")]
pub struct Runtime(String);

/// For the API document.
fn described() -> String {
    format!("A runtime identifier of AWS Lambda. New Functions have one of `{}`.", OFFERED.join("`, `"))
}

/// The kind of process that runs the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RuntimeFamily {
    Node,
    Python,
    Java,
    Dotnet,
    Ruby,
    /// The `bootstrap` in the zip.
    Provided,
    /// A family that this version does not know.
    Other,
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html>, and the contract's list.
const OFFERED: &[&str] = &[
    "nodejs18.x",
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
    "nodejs26.x",
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "python3.15",
    "java8.al2",
    "java8.al2023",
    "java11",
    "java11.al2023",
    "java17",
    "java17.al2023",
    "java21",
    "java25",
    "dotnet8",
    "dotnet10",
    "ruby3.2",
    "ruby3.3",
    "ruby3.4",
    "ruby4.0",
    "provided.al2",
    "provided.al2023",
];

impl Runtime {
    /// Holds any identifier; see [`Runtime::is_offered`].
    pub fn new(identifier: impl Into<String>) -> Self {
        Self(identifier.into())
    }

    /// Whether Lambda accepts it for a Function that is created or updated today.
    pub fn is_offered(&self) -> bool {
        OFFERED.contains(&self.0.as_str())
    }

    /// Whether Lambda may offer it one day: a few letters, digits and dots.
    pub fn is_well_formed(&self) -> bool {
        let is_one_of_few = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.';
        (1..=40).contains(&self.0.len()) && self.0.bytes().all(is_one_of_few)
    }

    /// The identifiers that [`Runtime::is_offered`] accepts.
    pub fn offered() -> &'static [&'static str] {
        OFFERED
    }

    /// The kind of process that runs the code.
    pub fn family(&self) -> RuntimeFamily {
        let family = |prefix: &str| self.0.starts_with(prefix);
        if family("nodejs") {
            RuntimeFamily::Node
        } else if family("python") {
            RuntimeFamily::Python
        } else if family("java") {
            RuntimeFamily::Java
        } else if family("dotnet") {
            RuntimeFamily::Dotnet
        } else if family("ruby") {
            RuntimeFamily::Ruby
        } else if family("provided") {
            RuntimeFamily::Provided
        } else {
            RuntimeFamily::Other
        }
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
