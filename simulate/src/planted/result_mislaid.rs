//! The result of a run is written where nobody looks for it.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("result-mislaid", &ResultMislaid);

struct ResultMislaid;

impl Seams for ResultMislaid {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        let is_result = body["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("result:"));
        if operation == "PutItem" && is_result {
            body["Item"]["sk"] = json!({ "S": "mislaid" });
        }
    }
}
