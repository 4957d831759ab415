//! A change of a Function does not begin a new generation.

use serde_json::Value;

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("generation-forgotten", &GenerationForgotten);

struct GenerationForgotten;

impl Seams for GenerationForgotten {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        if operation != "TransactWriteItems" {
            return;
        }
        let is_generation =
            |part: &Value| part["Put"]["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("generation:"));
        if let Some(parts) = body["TransactItems"].as_array_mut() {
            parts.retain(|part| !is_generation(part));
        }
    }
}
