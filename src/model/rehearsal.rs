//! What tests can do to a service that was started for them (contract §23).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FailTimes, FunctionName, Timestamp};

/// How the next runs of a Function fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// How many of them.
    pub times: FailTimes,
    /// The name of the error; a retry policy may look at it.
    pub name: String,
    /// Its message.
    pub message: String,
}

impl Failures {
    /// The name of an error that the test did not name.
    pub const NAME: &'static str = "TestFailure";
    /// The message of an error for which the test gave none.
    pub const MESSAGE: &'static str = "A test asked for this run to fail; its code was not run.";
}

/// What became of a clock that was set forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Advanced {
    /// The time on the service's clock.
    pub timestamp: Timestamp,
    /// How many runs have begun since it was set the last time, or since the service started: Tasks, direct executions and API
    /// Functions.
    pub runs: u64,
}

/// How many runs of a Function will fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failing {
    /// The Function.
    pub function_name: FunctionName,
    /// How many of its next runs fail.
    pub times: FailTimes,
}
