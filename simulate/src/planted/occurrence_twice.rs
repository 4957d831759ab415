//! A Schedule moves on whether or not its row has changed since it was read.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{drop_condition, each_part, value};

pub const BUG: Bug = Bug::new("occurrence-twice", &OccurrenceTwice);

struct OccurrenceTwice;

impl Seams for OccurrenceTwice {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        each_part(operation, body, |part| {
            if value(part, ":set_lastTask").is_some() {
                drop_condition(part);
            }
        });
    }
}
