//! The engine ignores what a Schedule says about overlapping Tasks.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::rewrite_schedules;

pub const BUG: Bug = Bug::new("overlap-ignored", &OverlapIgnored);

struct OverlapIgnored;

impl Seams for OverlapIgnored {
    fn rewrite_answer(&self, _: &str, body: &Value, answer: &mut Vec<u8>) {
        rewrite_schedules(body, answer, "overlap", "unknown");
    }
}
