//! Who runs a Task, and until when.

use std::fmt;

use tasklane_model::Timestamp;

/// A Task in progress: its attempt, its runner, and how long the runner may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Different from every other attempt at any Task. Only the attempt that holds the Task can write its outcome.
    pub attempt: AttemptToken,
    /// The process that runs it.
    pub runner: RunnerId,
    /// When it began.
    pub started: Timestamp,
    /// When the outcome can no longer be known, and the ticker ends the Task.
    pub lease_expires: Timestamp,
}

/// One attempt at one Task: 24 random hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttemptToken(String);

impl AttemptToken {
    /// From twelve random bytes.
    pub fn new(chance: [u8; 12]) -> Self {
        Self(hex::encode(chance))
    }

    /// As the store keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn from_row(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for AttemptToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One dispatcher or API process. Each restart of a process has another id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunnerId(String);

impl RunnerId {
    /// Any string that is unique to the process.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
