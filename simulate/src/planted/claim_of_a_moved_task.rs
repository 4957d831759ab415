//! A claim does not look whether the Task is still in the lane where the index showed it.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::sets_status;

pub const BUG: Bug = Bug::new("claim-of-a-moved-task", &ClaimOfAMovedTask);

struct ClaimOfAMovedTask;

impl Seams for ClaimOfAMovedTask {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        let Some(condition) = body["ConditionExpression"].as_str() else { return };
        if operation != "UpdateItem" || !sets_status(body, "inProgress") {
            return;
        }
        let condition = condition.replace("#lane = :lane AND #laneKey = :key", ":lane = :lane AND :key = :key");
        body["ConditionExpression"] = json!(condition);
        let sets_lane = body["UpdateExpression"].as_str().is_some_and(|update| update.contains("#laneKey"));
        if let Some(names) = body["ExpressionAttributeNames"].as_object_mut().filter(|_| !sets_lane) {
            names.retain(|name, _| name != "#lane" && name != "#laneKey");
        }
    }
}
