//! A retry looks for large data in a row of its own, although it shares the row of the Task that it retries.

use serde_json::Value;

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("retry-with-data-of-its-own", &RetryWithDataOfItsOwn);

struct RetryWithDataOfItsOwn;

impl Seams for RetryWithDataOfItsOwn {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        if operation != "TransactWriteItems" {
            return;
        }
        for part in body["TransactItems"].as_array_mut().into_iter().flatten() {
            let Some(item) = part.get_mut("Put").and_then(|put| put.get_mut("Item")) else { continue };
            if item["retryFor"].is_object() && item["dataOf"].is_object() {
                item["dataOf"] = item["sk"].clone();
            }
        }
    }
}
