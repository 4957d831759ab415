//! A Task is claimed whether or not it is still `new`.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{drop_condition, sets_status};

pub const BUG: Bug = Bug::new("claim-without-condition", &ClaimWithoutCondition);

struct ClaimWithoutCondition;

impl Seams for ClaimWithoutCondition {
    fn rewrite_request(&self, _: &str, body: &mut Value, _: i64) {
        if sets_status(body, "inProgress") {
            drop_condition(body);
        }
    }
}
