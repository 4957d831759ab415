//! Who runs a Task, and until when.

use std::fmt;

use crate::model::Timestamp;

/// A Task in progress: which attempt of whom, and how long they may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Told apart from every other attempt at any Task: an outcome is only written by the attempt it belongs to.
    pub attempt: AttemptToken,
    /// Whose attempt it is.
    pub runner: RunnerId,
    /// When it began.
    pub started: Timestamp,
    /// When the outcome can no longer be known, and the ticker ends the Task.
    pub lease_expires: Timestamp,
}

/// One attempt at one Task: 24 hex digits of chance.
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

/// One dispatcher or API process, told apart from every other, its own restarts included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunnerId(String);

impl RunnerId {
    /// Any text that is unique to the process.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
