//! A Task is canceled in any state.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{drop_condition, sets_status};

pub const BUG: Bug = Bug::new("cancel-without-condition", &CancelWithoutCondition);

struct CancelWithoutCondition;

impl Seams for CancelWithoutCondition {
    fn rewrite_request(&self, _: &str, body: &mut Value, _: i64) {
        if sets_status(body, "canceled") {
            drop_condition(body);
        }
    }
}
