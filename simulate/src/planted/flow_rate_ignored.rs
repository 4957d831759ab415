//! A gate forgets when its Tasks started.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::is_gate;

pub const BUG: Bug = Bug::new("flow-rate-ignored", &FlowRateIgnored);

struct FlowRateIgnored;

impl Seams for FlowRateIgnored {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        if operation == "PutItem" && is_gate(&body["Item"]) {
            body["Item"]["starts"] = json!({ "S": "[]" });
        }
    }
}
