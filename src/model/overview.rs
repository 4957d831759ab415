//! What happens now: counts for those who look at the whole service.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FunctionName, Timestamp};

/// What the service is doing now. Each count goes up to 1,000; past that it is a lower bound, and its `…IsExact` is false.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// How many Tasks are in progress, direct executions included.
    pub running: u64,
    /// Whether `running` is exact.
    pub running_is_exact: bool,
    /// How many Tasks are due and wait for their turn.
    pub ready: u64,
    /// Whether `ready` is exact.
    pub ready_is_exact: bool,
    /// How many Tasks wait for their start time.
    pub waiting: u64,
    /// Whether `waiting` is exact.
    pub waiting_is_exact: bool,
    /// How many Tasks are due, but are held back by a key.
    pub held: u64,
    /// Whether `held` is exact.
    pub held_is_exact: bool,
    /// When the oldest of the ready Tasks was due, of those that were counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest_due_timestamp: Option<Timestamp>,
    /// What queued Tasks run on.
    pub slots: SlotUse,
    /// What direct executions run on.
    pub direct_slots: SlotUse,
    /// How many dispatchers start Tasks. Where many processes do, those that have been doing so for some time.
    pub dispatchers: u64,
    /// The Functions of the Tasks that were counted, the busiest first; at most 100.
    pub functions: Vec<FunctionLoad>,
}

/// How many slots there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlotUse {
    /// How many are in use, or reserved by a process.
    pub used: u16,
    /// How many there are.
    pub limit: u16,
}

/// How many of the counted Tasks are those of one Function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionLoad {
    /// The Function.
    pub function_name: FunctionName,
    /// How many are in progress.
    pub running: u64,
    /// How many are due.
    pub ready: u64,
    /// How many wait for their start time.
    pub waiting: u64,
    /// How many are due, but are held back by a key.
    pub held: u64,
}

/// How far the counts of an [`Overview`] go.
pub const MOST_COUNTED: usize = 1000;
/// How many Functions an [`Overview`] names.
pub const MOST_FUNCTIONS: usize = 100;
