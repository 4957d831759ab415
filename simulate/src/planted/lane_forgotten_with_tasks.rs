//! A lane of a Function is forgotten although Tasks wait in it.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::is_query_of;

pub const BUG: Bug = Bug::new("lane-forgotten-with-tasks", &LaneForgottenWithTasks);

struct LaneForgottenWithTasks;

impl Seams for LaneForgottenWithTasks {
    fn rewrite_answer(&self, operation: &str, body: &Value, answer: &mut Vec<u8>) {
        // Only the ticker asks for one row.
        if operation == "Query" && is_query_of(body, "ready:") && body["Limit"] == 1 {
            *answer = json!({ "Items": [], "Count": 0, "ScannedCount": 0 }).to_string().into_bytes();
        }
    }
}
