//! An outcome is written whether or not the attempt still holds the Task.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{drop_condition, each_part, sets_status};

pub const BUG: Bug = Bug::new("outcome-without-condition", &OutcomeWithoutCondition);

struct OutcomeWithoutCondition;

impl Seams for OutcomeWithoutCondition {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        each_part(operation, body, |part| {
            if ["complete", "failed", "retried"].iter().any(|status| sets_status(part, status)) {
                drop_condition(part);
            }
        });
    }
}
