//! The slots of a process are returned while its runs continue.

use serde_json::{Value, json};
use tasklane_model::Timestamp;

use super::seams::{Bug, Seams};
use crate::request::writes_ledger;

pub const BUG: Bug = Bug::new("slot-lease-too-short", &SlotLeaseTooShort);

/// How long the lease is, in milliseconds.
const LEASE: i64 = 3000;

struct SlotLeaseTooShort;

impl Seams for SlotLeaseTooShort {
    fn rewrite_request(&self, operation: &str, body: &mut Value, now: i64) {
        if !writes_ledger(operation, body) {
            return;
        }
        let holders = body["Item"]["holders"]["S"].as_str().unwrap_or_default();
        let mut holders: Value = serde_json::from_str(holders).unwrap_or_default();
        let soon = Timestamp::saturating_from_millis(now + LEASE);
        for held in holders.as_object_mut().into_iter().flatten().map(|(_, held)| held) {
            let until = held["until"].as_str().and_then(|until| until.parse::<Timestamp>().ok());
            if until.is_some_and(|until| until > soon) {
                held["until"] = json!(soon.to_string());
            }
        }
        body["Item"]["holders"]["S"] = json!(holders.to_string());
    }
}
