//! A part keeps its block as it is, even if the limit was lowered since the main row leased it.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("lowered-limit-unknown-to-parts", &LoweredLimitUnknownToParts);

struct LoweredLimitUnknownToParts;

impl Seams for LoweredLimitUnknownToParts {
    fn rewrite_answer(&self, operation: &str, _: &Value, answer: &mut Vec<u8>) {
        if operation != "GetItem" {
            return;
        }
        let mut whole: Value = serde_json::from_slice(answer).unwrap_or_default();
        let block = whole["Item"]["block"]["S"].as_str().unwrap_or_default();
        let Ok(Value::Object(mut block)) = serde_json::from_str(block) else { return };
        block.insert("ceiling".to_owned(), json!(0));
        block.insert("until".to_owned(), json!("9999-12-31T23:59:59.999Z"));
        whole["Item"]["block"]["S"] = json!(Value::Object(block).to_string());
        *answer = whole.to_string().into_bytes();
    }
}
