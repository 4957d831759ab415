//! How runs ended over time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FunctionName, Timestamp};

/// The runs of one Function in one step of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStats {
    /// When the step begins.
    pub timestamp: Timestamp,
    /// The Function; absent if the runs of all Functions are counted together.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub function_name: Option<FunctionName>,
    /// How many runs began. A run is counted once it has ended, in the step in which it began.
    pub started: u64,
    /// How many runs completed.
    pub completed: u64,
    /// How many runs failed and were not retried.
    pub failed: u64,
    /// How many runs failed and were retried.
    pub retried: u64,
    /// How late they began; absent if there were only direct executions, which do not wait.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lateness: Option<Lateness>,
}

/// How long after they were due Tasks began to run, in seconds, give or take a tenth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lateness {
    /// Half of them began within this time.
    pub p50: f64,
    /// 99 of 100 began within this time.
    pub p99: f64,
}

/// A range of time, in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatsRange {
    /// Where the first step begins: a whole number of steps since 1970.
    pub from: Timestamp,
    /// Where it ends; nothing that happened at this moment or later counts.
    pub to: Timestamp,
    /// How long a step is: a whole number of minutes.
    pub step: Duration,
    /// Whether each Function is counted on its own.
    pub per_function: bool,
}

/// The most steps of a range.
pub const MOST_STEPS: u64 = 1500;
/// The most records of an answer.
pub const MOST_RECORDS: usize = 10_000;
