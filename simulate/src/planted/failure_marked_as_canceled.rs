//! A Task that failed gets the mark of one that was canceled.

use serde_json::Value;

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("failure-marked-as-canceled", &FailureMarkedAsCanceled);

struct FailureMarkedAsCanceled;

impl Seams for FailureMarkedAsCanceled {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        let Some(pk) = body["Item"]["pk"]["S"].as_str().filter(|_| operation == "PutItem") else { return };
        if let Some(shard) = pk.strip_prefix("mark:failed#") {
            body["Item"]["pk"]["S"] = format!("mark:canceled#{shard}").into();
        }
    }
}
