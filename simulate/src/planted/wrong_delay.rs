//! A retry starts later than it should.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{each_part, shift};

pub const BUG: Bug = Bug::new("wrong-delay", &WrongDelay);

struct WrongDelay;

impl Seams for WrongDelay {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        each_part(operation, body, |part| {
            if part["Item"]["retryFor"].is_object() {
                shift(&mut part["Item"], "start", "laneKey", 3000);
            }
        });
    }
}
