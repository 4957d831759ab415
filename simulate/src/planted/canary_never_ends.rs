//! The failures of a canary are not counted.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("canary-never-ends", &CanaryNeverEnds);

struct CanaryNeverEnds;

impl Seams for CanaryNeverEnds {
    fn rewrite_answer(&self, operation: &str, body: &Value, answer: &mut Vec<u8>) {
        let partition = body["ExpressionAttributeValues"][":partition"]["S"].as_str().unwrap_or_default();
        if operation == "Query" && partition.starts_with("canary:") {
            *answer = json!({ "Items": [], "Count": 0, "ScannedCount": 0 }).to_string().into_bytes();
        }
    }
}
