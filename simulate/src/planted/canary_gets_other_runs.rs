//! A dispatcher takes the percentage of a canary for that of the current version.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("canary-gets-other-runs", &CanaryGetsOtherRuns);

struct CanaryGetsOtherRuns;

impl Seams for CanaryGetsOtherRuns {
    fn rewrite_answer(&self, operation: &str, body: &Value, answer: &mut Vec<u8>) {
        if operation != "GetItem" || body["Key"]["pk"]["S"] != "function" {
            return;
        }
        let mut whole: Value = serde_json::from_slice(answer).unwrap_or_default();
        let record = whole["Item"]["record"]["S"].as_str().unwrap_or_default();
        let Ok(mut record) = serde_json::from_str::<Value>(record) else { return };
        let Some(percent) = record["history"]["canary"]["percent"].as_u64() else { return };
        record["history"]["canary"]["percent"] = json!(100 - percent);
        whole["Item"]["record"]["S"] = json!(record.to_string());
        *answer = whole.to_string().into_bytes();
    }
}
