//! A version is replaced without being kept.

use serde_json::Value;

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("version-forgotten", &VersionForgotten);

struct VersionForgotten;

impl Seams for VersionForgotten {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        if operation != "TransactWriteItems" {
            return;
        }
        let is_version =
            |part: &Value| part["Put"]["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("versions:"));
        if let Some(parts) = body["TransactItems"].as_array_mut() {
            parts.retain(|part| !is_version(part));
        }
    }
}
