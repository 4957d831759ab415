//! How long a Task may take for what is not its run.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::QueuedTimeout;

/// How long a Task may take for what is not its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// How long a Task may wait after it was due, in seconds. Then it fails, and never runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub queued: Option<QueuedTimeout>,
}

impl Timeouts {
    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        let Self { queued } = self;
        queued.is_none()
    }

    /// These, or the others where none is set.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self { queued: self.queued.or(others.queued) }
    }
}

impl QueuedTimeout {
    /// The limit as a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.get()))
    }
}
