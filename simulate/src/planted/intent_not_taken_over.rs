//! A repeated call takes over the intent of the first one, but not its id.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("intent-not-taken-over", &IntentNotTakenOver);

struct IntentNotTakenOver;

impl Seams for IntentNotTakenOver {
    fn rewrite_answer(&self, _: &str, _: &Value, answer: &mut Vec<u8>) {
        let mut whole: Value = serde_json::from_slice(answer).unwrap_or_default();
        if whole["Item"]["pk"]["S"].as_str().is_none_or(|pk| !pk.starts_with("idem:")) {
            return;
        }
        let intent = whole["Item"]["intent"]["S"].as_str().unwrap_or_default();
        let mut intent: Value = serde_json::from_str(intent).unwrap_or_default();
        let Some(id) = intent["id"].as_str() else { return };
        // Another id of the same day.
        let other = if id.ends_with('0') { '1' } else { '0' };
        intent["id"] = json!(format!("{}{other}", &id[..id.len() - 1]));
        whole["Item"]["intent"]["S"] = json!(intent.to_string());
        *answer = whole.to_string().into_bytes();
    }
}
