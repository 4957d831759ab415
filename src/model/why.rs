//! Why a Task is in the status that it is in.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FlowKey, ObjectId, TaskStatus, Timestamp};

/// The answer to the question why a Task waits, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The Task's status.
    pub status: TaskStatus,
    /// The reason, and its details.
    #[serde(flatten)]
    pub reason: Reason,
    /// The same in a sentence.
    pub message: String,
}

impl Why {
    /// A Task of this status, for this reason.
    pub fn new(status: TaskStatus, reason: Reason) -> Self {
        Self { status, message: reason.to_string(), reason }
    }
}

/// A reason, with its details. The first ones are those of a Task that is `new`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "reason", content = "details")]
pub enum Reason {
    /// It is not due yet.
    NotDue {
        /// When it is due.
        at: Timestamp,
    },
    /// It waits for further creations with the same key.
    Debounce {
        /// When it starts if there are none.
        until: Timestamp,
    },
    /// Its Function is disabled.
    FunctionDisabled {},
    /// Its Function was deleted. It fails when its turn comes.
    FunctionMissing {},
    /// As many Tasks run as may run at once.
    Slots(Full),
    /// As many runs of its Function are in progress as its own limit allows.
    FunctionLimit(Full),
    /// As many runs with its flow key are in progress as may be.
    FlowKey {
        /// The key.
        key: FlowKey,
        /// How many runs have a place.
        running: u64,
        /// How many may.
        limit: u16,
        /// How many due Tasks with the same key come before it. Counted up to 1,000.
        ahead: u64,
    },
    /// As many runs with its flow key have started as may in a while.
    Rate {
        /// The key.
        key: FlowKey,
        /// When the next one may start.
        until: Timestamp,
    },
    /// It could start, but no dispatcher has looked for it.
    NoDispatcher {
        /// When a dispatcher claimed a Task last, as far as that is known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        last_seen: Option<Timestamp>,
    },
    /// It starts as soon as its turn comes.
    Next {
        /// How many due Tasks come before it. Counted up to 1,000.
        ahead: u64,
    },
    /// It runs.
    Running {
        /// When the run began.
        since: Timestamp,
        /// When it has ended at the latest.
        until: Timestamp,
    },
    /// It ran and returned.
    Completed {},
    /// It failed.
    Failed {},
    /// It failed, and another Task retries it.
    Retried {
        /// The Task that retries it.
        by: ObjectId,
    },
    /// A caller canceled it.
    Canceled {},
    /// It failed without running, because it waited longer than it may.
    Expired {},
    /// It failed because its runner stopped before it reported an outcome.
    Zombie {},
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Full {
    /// How many runs hold or have reserved a slot.
    pub running: u16,
    /// How many may.
    pub limit: u16,
    /// How many due Tasks come before it. Counted up to 1,000.
    pub ahead: u64,
}

/// How far [`Full::ahead`] counts.
pub const MOST_AHEAD: u64 = 1000;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDue { at } => write!(f, "It waits for its start time, {at}."),
            Self::Debounce { until } => {
                write!(
                    f,
                    "It waits for further creations with the same debounce key: without one it starts at {until}."
                )
            }
            Self::FunctionDisabled {} => f.write_str("It waits because its Function is disabled. Enable the Function."),
            Self::FunctionMissing {} => f.write_str(
                "Its Function was deleted: it fails when its turn comes, unless the Function is created again.",
            ),
            Self::Slots(Full { running, limit, ahead }) => {
                write!(
                    f,
                    "It waits for a slot: {running} of {limit} Tasks are running, and {} before it.",
                    Ahead(*ahead)
                )
            }
            Self::FunctionLimit(Full { running, limit, ahead }) => write!(
                f,
                "It waits for its Function's own limit: {running} of {limit} runs are in progress, and {} before it.",
                Ahead(*ahead)
            ),
            Self::FlowKey { key, running, limit, ahead } => write!(
                f,
                "It waits for its flow key '{key}': {running} of {limit} runs are in progress, and {} before it among those with this key.",
                Ahead(*ahead)
            ),
            Self::Rate { key, until } => {
                write!(f, "It waits for the rate of its flow key '{key}': the next run may start at {until}.")
            }
            Self::NoDispatcher { last_seen: None } => {
                f.write_str("It could start, but no dispatcher looks for it, and none has claimed a Task lately.")
            }
            Self::NoDispatcher { last_seen: Some(at) } => {
                write!(f, "It could start, but no dispatcher looks for it. The last one claimed a Task at {at}.")
            }
            Self::Next { ahead: 0 } => f.write_str("It is the next one to start."),
            Self::Next { ahead } => write!(f, "It starts when its turn comes: {} before it.", Ahead(*ahead)),
            Self::Running { since, until } => {
                write!(f, "It has been running since {since}, and has ended at {until} at the latest.")
            }
            Self::Completed {} => f.write_str("It ran, and its Function returned."),
            Self::Failed {} => f.write_str("It failed, and was not retried."),
            Self::Retried { by } => write!(f, "It failed, and was retried by Task {by}."),
            Self::Canceled {} => f.write_str("It was canceled before it started."),
            Self::Expired {} => f.write_str("It waited longer than it may, and never ran."),
            Self::Zombie {} => f.write_str("Its outcome is unknown: its runner stopped before it reported one."),
        }
    }
}

/// How many Tasks come first, in words.
struct Ahead(u64);

impl fmt::Display for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("no due Task comes"),
            1 => f.write_str("1 due Task comes"),
            many if many >= MOST_AHEAD => write!(f, "at least {many} due Tasks come"),
            several => write!(f, "{several} due Tasks come"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_has_details_even_if_there_are_none() {
        let why = Why::new(TaskStatus::New, Reason::FunctionDisabled {});
        let json = serde_json::to_value(&why).unwrap();
        assert_eq!(
            (&json["status"], &json["reason"], &json["details"]),
            (&json!("new"), &json!("functionDisabled"), &json!({}))
        );
        let full = Full { running: 5, limit: 5, ahead: 1 };
        let why = Why::new(TaskStatus::New, Reason::Slots(full));
        let json = serde_json::to_value(&why).unwrap();
        assert_eq!(json["details"], json!({ "running": 5, "limit": 5, "ahead": 1 }));
        assert_eq!(json["message"], "It waits for a slot: 5 of 5 Tasks are running, and 1 due Task comes before it.");
        assert_eq!(serde_json::from_value::<Why>(json).unwrap(), why);
    }
}
