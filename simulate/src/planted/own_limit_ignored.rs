//! Dispatchers ignore a Function's own limit.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{reads_function, rewrite_record};

pub const BUG: Bug = Bug::new("own-limit-ignored", &OwnLimitIgnored);

struct OwnLimitIgnored;

impl Seams for OwnLimitIgnored {
    fn rewrite_answer(&self, operation: &str, body: &Value, answer: &mut Vec<u8>) {
        if reads_function(operation, body) {
            rewrite_record(answer, |record| {
                if let Some(options) = record["executionOptions"].as_object_mut() {
                    options.remove("concurrencyLimit");
                }
            });
        }
    }
}
