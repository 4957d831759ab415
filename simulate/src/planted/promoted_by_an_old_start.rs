//! A promotion does not look whether the Task is still in the place where the index showed it.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::value;

pub const BUG: Bug = Bug::new("promoted-by-an-old-start", &PromotedByAnOldStart);

struct PromotedByAnOldStart;

impl Seams for PromotedByAnOldStart {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        let promotes = value(body, ":set_lane").is_some_and(|lane| lane.starts_with("ready"))
            && value(body, ":lane").is_some_and(|lane| lane.starts_with("waiting"))
            && value(body, ":set_editedBy").is_none();
        if operation != "UpdateItem" || !promotes {
            return;
        }
        body["ConditionExpression"] = json!("#status = :new AND #lane = :lane");
        let used = [":new", ":lane", ":set_lane", ":set_laneKey"];
        if let Some(values) = body["ExpressionAttributeValues"].as_object_mut() {
            values.retain(|name, _| used.contains(&name.as_str()));
        }
        body["ExpressionAttributeNames"] = json!({ "#status": "status", "#lane": "lane", "#laneKey": "laneKey" });
    }
}
