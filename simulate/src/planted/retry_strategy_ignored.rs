//! Dispatchers ignore a Function's retry strategy.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{reads_function, rewrite_record};

pub const BUG: Bug = Bug::new("retry-strategy-ignored", &RetryStrategyIgnored);

struct RetryStrategyIgnored;

impl Seams for RetryStrategyIgnored {
    fn rewrite_answer(&self, operation: &str, body: &Value, answer: &mut Vec<u8>) {
        if reads_function(operation, body) {
            rewrite_record(answer, |record| {
                if let Some(policy) = record["retryPolicy"].as_object_mut() {
                    policy.remove("strategy");
                }
            });
        }
    }
}
