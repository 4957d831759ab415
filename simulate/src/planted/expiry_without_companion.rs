//! The companion of a Task that may not wait for ever is not in its lane.

use serde_json::Value;

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("expiry-without-companion", &ExpiryWithoutCompanion);

struct ExpiryWithoutCompanion;

impl Seams for ExpiryWithoutCompanion {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        let is_companion = body["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("expiring:"));
        if operation == "PutItem"
            && is_companion
            && let Some(item) = body["Item"].as_object_mut()
        {
            item.remove("lane");
            item.remove("laneKey");
        }
    }
}
