//! A gate is written whatever another process has written in between.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{drop_condition, is_gate};

pub const BUG: Bug = Bug::new("gate-written-without-condition", &GateWrittenWithoutCondition);

struct GateWrittenWithoutCondition;

impl Seams for GateWrittenWithoutCondition {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        if operation == "PutItem" && is_gate(&body["Item"]) {
            drop_condition(body);
        }
    }
}
