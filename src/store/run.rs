//! The run of a Task in progress.

use std::fmt;

use tasklane_model::{Timestamp, VersionNumber};

/// The run of a Task in progress: its attempt, its runner, and its lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Unique among all attempts at all Tasks. Only the attempt that holds the Task can write its outcome.
    pub attempt: AttemptToken,
    pub runner: RunnerId,
    pub started: Timestamp,
    /// When the outcome is considered unknown, and the ticker ends the Task.
    pub lease_expires: Timestamp,
    /// The version of the Function that it runs. Absent for a claimed Task while its Function has a canary: which version it
    /// gets depends on its chain, which the queue does not show. Then the end of the run records it.
    pub version: Option<VersionNumber>,
}

/// Identifies one attempt at one Task: 24 random hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttemptToken(String);

impl AttemptToken {
    pub fn new(chance: [u8; 12]) -> Self {
        Self(hex::encode(chance))
    }

    /// The stored form.
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

/// Identifies one dispatcher or API process. After a restart, a process has another id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunnerId(String);

impl RunnerId {
    /// From any string that is unique to the process.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
