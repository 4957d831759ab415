//! The register of runs is written and its pages are removed whatever was written in between.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{drop_condition, writes_register};

pub const BUG: Bug = Bug::new("register-written-without-condition", &RegisterWrittenWithoutCondition);

struct RegisterWrittenWithoutCondition;

impl Seams for RegisterWrittenWithoutCondition {
    fn rewrite_request(&self, _: &str, body: &mut Value, _: i64) {
        if writes_register(body) {
            drop_condition(body);
        }
    }
}
