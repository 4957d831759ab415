//! A claim does not look at how long the Task may wait.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::sets_status;

pub const BUG: Bug = Bug::new("expired-task-claimed", &ExpiredTaskClaimed);

struct ExpiredTaskClaimed;

impl Seams for ExpiredTaskClaimed {
    fn rewrite_request(&self, _: &str, body: &mut Value, _: i64) {
        if sets_status(body, "inProgress") && body["ExpressionAttributeValues"][":now"].is_object() {
            body["ExpressionAttributeValues"][":now"] = json!({ "N": "0" });
        }
    }
}
