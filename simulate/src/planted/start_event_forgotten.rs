//! A start counts as published, even if it was refused.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::forget_event;

pub const BUG: Bug = Bug::new("start-event-forgotten", &StartEventForgotten);

struct StartEventForgotten;

impl Seams for StartEventForgotten {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        forget_event(operation, body, "task_started");
    }
}
