//! Lower priority runs first.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::{each_part, value};

pub const BUG: Bug = Bug::new("priority-inverted", &PriorityInverted);

struct PriorityInverted;

impl Seams for PriorityInverted {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        each_part(operation, body, |part| {
            if part["Item"]["lane"]["S"].as_str().is_some_and(is_ready) {
                invert(&mut part["Item"]["laneKey"]);
            } else if value(part, ":set_lane").is_some_and(is_ready)
                && part["ExpressionAttributeValues"][":set_laneKey"].is_object()
            {
                invert(&mut part["ExpressionAttributeValues"][":set_laneKey"]);
            }
        });
    }
}

fn is_ready(lane: &str) -> bool {
    lane.starts_with("ready")
}

fn invert(key: &mut Value) {
    const TWICE_THE_HIGHEST: i64 = 2 * 9_007_199_254_740_991;
    let Some((priority, rest)) = key["S"].as_str().and_then(|text| text.split_once('.')) else { return };
    let priority: i64 = priority.parse().unwrap_or(0);
    key["S"] = json!(format!("{:017}.{rest}", TWICE_THE_HIGHEST - priority));
}
