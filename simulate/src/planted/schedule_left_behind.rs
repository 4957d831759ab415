//! A tick looks only for Schedules that became due a moment ago, as if each one continued behind where the last one ended
//! and never returned to the front.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::{is_query_of, value};

pub const BUG: Bug = Bug::new("schedule-left-behind", &ScheduleLeftBehind);

struct ScheduleLeftBehind;

impl Seams for ScheduleLeftBehind {
    fn rewrite_request(&self, _: &str, body: &mut Value, now: i64) {
        if is_query_of(body, "next") && value(body, ":below").is_some() {
            body["KeyConditionExpression"] = json!("#partition = :partition AND laneKey BETWEEN :from AND :below");
            body["ExpressionAttributeValues"][":from"] = json!({ "S": format!("{:015}", now - 1000) });
        }
    }
}
