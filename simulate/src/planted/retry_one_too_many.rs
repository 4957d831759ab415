//! A retry forgets the first run of its chain.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::sets_status;

pub const BUG: Bug = Bug::new("retry-one-too-many", &RetryOneTooMany);

struct RetryOneTooMany;

impl Seams for RetryOneTooMany {
    fn rewrite_answer(&self, _: &str, body: &Value, answer: &mut Vec<u8>) {
        if !sets_status(body, "inProgress") {
            return;
        }
        let mut whole: Value = serde_json::from_slice(answer).unwrap_or_default();
        let chain = whole["Attributes"]["retryFor"]["S"].as_str().unwrap_or_default();
        let mut chain: Vec<String> = serde_json::from_str(chain).unwrap_or_default();
        if chain.len() == 3 {
            chain.remove(0);
            whole["Attributes"]["retryFor"]["S"] = json!(json!(chain).to_string());
            *answer = whole.to_string().into_bytes();
        }
    }
}
