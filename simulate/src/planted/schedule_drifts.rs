//! A Schedule's occurrences drift.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{each_part, shift, value};

pub const BUG: Bug = Bug::new("schedule-drifts", &ScheduleDrifts);

struct ScheduleDrifts;

impl Seams for ScheduleDrifts {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        each_part(operation, body, |part| {
            if value(part, ":set_lastTask").is_some() {
                shift(&mut part["ExpressionAttributeValues"], ":set_next", ":set_laneKey", 1500);
            }
        });
    }
}
