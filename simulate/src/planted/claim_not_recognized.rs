//! A claim that is repeated because its response was lost is taken for another's.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::sets_status;

pub const BUG: Bug = Bug::new("claim-not-recognized", &ClaimNotRecognized);

struct ClaimNotRecognized;

impl Seams for ClaimNotRecognized {
    fn rewrite_answer(&self, _: &str, body: &Value, answer: &mut Vec<u8>) {
        if !sets_status(body, "inProgress") {
            return;
        }
        let mut refused: Value = serde_json::from_slice(answer).unwrap_or_default();
        if let Some(row) = refused["Item"].as_object_mut()
            && row.remove("attempt").is_some()
        {
            *answer = refused.to_string().into_bytes();
        }
    }
}
