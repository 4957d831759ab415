//! A completion counts as published as soon as it is written.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::forget_event;

pub const BUG: Bug = Bug::new("end-event-forgotten", &EndEventForgotten);

struct EndEventForgotten;

impl Seams for EndEventForgotten {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        forget_event(operation, body, "task_completed");
    }
}
