//! Of the runs that start together, only the first is registered.

use serde_json::{Map, Value};

use super::seams::{Bug, Seams};
use crate::request::writes_register;

pub const BUG: Bug = Bug::new("run-not-registered", &RunNotRegistered);

struct RunNotRegistered;

impl Seams for RunNotRegistered {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        if operation != "PutItem" || !writes_register(body) {
            return;
        }
        let Some(runs) = body["Item"]["runs"]["S"].as_str() else { return };
        let runs: Map<String, Value> = serde_json::from_str(runs).unwrap_or_default();
        let first: Map<String, Value> = runs.into_iter().take(1).collect();
        body["Item"]["runs"]["S"] = Value::from(Value::from(first).to_string());
    }
}
