//! Failures: the Tasks that failed, by Function and error.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FunctionName, ObjectId, Timestamp};

/// Tasks of one Function that failed with the same error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Their Function.
    pub function_name: FunctionName,
    /// The name of the error.
    pub error_name: String,
    /// The first line of the latest one's message.
    pub message: String,
    /// How many Tasks.
    pub count: u64,
    /// When the first one failed.
    pub first_timestamp: Timestamp,
    /// When the last one failed.
    pub last_timestamp: Timestamp,
    /// The one that failed last.
    pub example_task_id: ObjectId,
}
