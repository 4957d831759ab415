//! A call writes its intent down although its idempotency key is in use.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::drop_condition;

pub const BUG: Bug = Bug::new("key-forgotten", &KeyForgotten);

struct KeyForgotten;

impl Seams for KeyForgotten {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        let is_intent = body["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("idem:"));
        if operation == "PutItem" && is_intent {
            drop_condition(body);
        }
    }
}
