//! Two debounced creations at once both add a Task.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{drop_condition, each_part};

pub const BUG: Bug = Bug::new("debounce-without-condition", &DebounceWithoutCondition);

struct DebounceWithoutCondition;

impl Seams for DebounceWithoutCondition {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        each_part(operation, body, |part| {
            if part["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("debounce:")) {
                drop_condition(part);
            }
        });
    }
}
