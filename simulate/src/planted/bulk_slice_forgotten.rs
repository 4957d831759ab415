//! What a dead process had begun of a bulk operation is not looked at.

use serde_json::Value;

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("bulk-slice-forgotten", &BulkSliceForgotten);

struct BulkSliceForgotten;

impl Seams for BulkSliceForgotten {
    fn rewrite_answer(&self, operation: &str, body: &Value, answer: &mut Vec<u8>) {
        if operation != "GetItem" || body["Key"]["pk"]["S"] != "bulk" {
            return;
        }
        let mut whole: Value = serde_json::from_slice(answer).unwrap_or_default();
        if let Some(item) = whole["Item"].as_object_mut() {
            item.remove("slice");
            *answer = whole.to_string().into_bytes();
        }
    }
}
