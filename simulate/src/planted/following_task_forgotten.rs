//! A Task becomes final without the one that follows it.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::value;

pub const BUG: Bug = Bug::new("following-task-forgotten", &FollowingTaskForgotten);

struct FollowingTaskForgotten;

impl Seams for FollowingTaskForgotten {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        if operation != "TransactWriteItems" {
            return;
        }
        let Some(parts) = body["TransactItems"].as_array_mut() else { return };
        if parts.iter().any(|part| value(&part["Update"], ":set_followedBy").is_some()) {
            parts.retain(|part| part["Put"].is_null());
        }
    }
}
