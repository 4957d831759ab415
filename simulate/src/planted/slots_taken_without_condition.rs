//! Slots are counted and then taken, even if another process took some in between.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{drop_condition, each_ledger_row};

pub const BUG: Bug = Bug::new("slots-taken-without-condition", &SlotsTakenWithoutCondition);

struct SlotsTakenWithoutCondition;

impl Seams for SlotsTakenWithoutCondition {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        each_ledger_row(operation, body, drop_condition);
    }
}
