//! A process that finds its own part full does not see that others have free slots.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("free-parts-overlooked", &FreePartsOverlooked);

struct FreePartsOverlooked;

impl Seams for FreePartsOverlooked {
    fn rewrite_answer(&self, operation: &str, body: &Value, answer: &mut Vec<u8>) {
        let tables = body["RequestItems"].as_object().into_iter().flatten();
        let mut keys = tables.flat_map(|(_, batch)| batch["Keys"].as_array().into_iter().flatten());
        if operation != "BatchGetItem" || !keys.any(|key| is_part(&key["pk"])) {
            return;
        }
        let mut whole: Value = serde_json::from_slice(answer).unwrap_or_default();
        let rows = whole["Responses"].as_object_mut().into_iter().flatten();
        for row in rows.flat_map(|(_, rows)| rows.as_array_mut().into_iter().flatten()) {
            let held = json!({ "nobody": { "slots": 60_000, "until": "9999-12-31T23:59:59.999Z" } });
            row["holders"]["S"] = json!(held.to_string());
        }
        *answer = whole.to_string().into_bytes();
    }
}

fn is_part(pk: &Value) -> bool {
    pk["S"].as_str().is_some_and(|pk| pk.starts_with("slots:"))
}
