//! A Task that may not wait for ever gets another start, and its companion stays where it was.

use serde_json::Value;

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("start-moved-without-companion", &StartMovedWithoutCompanion);

struct StartMovedWithoutCompanion;

impl Seams for StartMovedWithoutCompanion {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        let is_companion =
            |part: &Value| part["Put"]["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("expiring:"));
        if operation == "TransactWriteItems"
            && let Some(parts) = body["TransactItems"].as_array_mut()
        {
            parts.retain(|part| !is_companion(part));
        }
    }
}
