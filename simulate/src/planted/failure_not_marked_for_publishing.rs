//! A failed Task is not put in the lane of unpublished failures.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::sets_status;

pub const BUG: Bug = Bug::new("failure-not-marked-for-publishing", &FailureNotMarkedForPublishing);

struct FailureNotMarkedForPublishing;

impl Seams for FailureNotMarkedForPublishing {
    fn rewrite_request(&self, _: &str, body: &mut Value, _: i64) {
        if !sets_status(body, "failed") {
            return;
        }
        if let Some(values) = body["ExpressionAttributeValues"].as_object_mut() {
            values.remove(":set_lane");
            values.remove(":set_laneKey");
        }
        if let Some(update) = body["UpdateExpression"].as_str() {
            let update = update.replace(", #lane = :set_lane, #laneKey = :set_laneKey", "");
            body["UpdateExpression"] = json!(format!("{update} REMOVE #lane, #laneKey"));
        }
    }
}
