//! The slots of a process are returned while its runs continue.

use serde_json::{Value, json};
use tasklane_model::Timestamp;

use super::seams::{Bug, Seams};
use crate::request::{each_ledger_row, rewrite_holders};

pub const BUG: Bug = Bug::new("slot-lease-too-short", &SlotLeaseTooShort);

/// How long the lease is, in milliseconds.
const LEASE: i64 = 3000;

struct SlotLeaseTooShort;

impl Seams for SlotLeaseTooShort {
    fn rewrite_request(&self, operation: &str, body: &mut Value, now: i64) {
        let soon = Timestamp::saturating_from_millis(now + LEASE);
        each_ledger_row(operation, body, |row| {
            rewrite_holders(row, |holders| {
                for (_, held) in holders {
                    let until = held["until"].as_str().and_then(|until| until.parse::<Timestamp>().ok());
                    if until.is_some_and(|until| until > soon) {
                        held["until"] = json!(soon.to_string());
                    }
                }
            });
        });
    }
}
