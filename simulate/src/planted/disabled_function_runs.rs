//! Dispatchers ignore that a Function is disabled.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::{reads_function, rewrite_record};

pub const BUG: Bug = Bug::new("disabled-function-runs", &DisabledFunctionRuns);

struct DisabledFunctionRuns;

impl Seams for DisabledFunctionRuns {
    fn rewrite_answer(&self, operation: &str, body: &Value, answer: &mut Vec<u8>) {
        if reads_function(operation, body) {
            rewrite_record(answer, |record| record["enabled"] = json!(true));
        }
    }
}
