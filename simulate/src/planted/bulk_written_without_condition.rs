//! The progress of a bulk operation is written whatever another process has written in between.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::drop_condition;

pub const BUG: Bug = Bug::new("bulk-written-without-condition", &BulkWrittenWithoutCondition);

struct BulkWrittenWithoutCondition;

impl Seams for BulkWrittenWithoutCondition {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        if operation == "PutItem" && body["Item"]["pk"]["S"] == "bulk" {
            drop_condition(body);
        }
    }
}
