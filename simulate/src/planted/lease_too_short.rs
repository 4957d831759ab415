//! The lease of a Task ends before its run must end.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{number, sets_status, shift};

pub const BUG: Bug = Bug::new("lease-too-short", &LeaseTooShort);

/// How long the lease is, in milliseconds.
const LEASE: i64 = 2500;

struct LeaseTooShort;

impl Seams for LeaseTooShort {
    fn rewrite_request(&self, _: &str, body: &mut Value, now: i64) {
        if sets_status(body, "inProgress") {
            let values = &mut body["ExpressionAttributeValues"];
            if let Some(lease) = number(&values[":set_lease"]) {
                shift(values, ":set_lease", ":set_laneKey", now + LEASE - lease);
            }
        }
    }
}
