//! A part goes on leasing slots of a block that the main row takes for free.

use serde_json::{Value, json};
use tasklane_model::Timestamp;

use super::seams::{Bug, Seams};
use crate::request::{each_ledger_row, rewrite_holders};

pub const BUG: Bug = Bug::new("block-outlives-its-lease", &BlockOutlivesItsLease);

/// How long the main row leases a block, in milliseconds.
const LEASE: i64 = 3000;

struct BlockOutlivesItsLease;

impl Seams for BlockOutlivesItsLease {
    fn rewrite_request(&self, operation: &str, body: &mut Value, now: i64) {
        let soon = Timestamp::saturating_from_millis(now + LEASE).to_string();
        each_ledger_row(operation, body, |row| {
            rewrite_holders(row, |holders| {
                for (_, block) in holders.iter_mut().filter(|(name, _)| name.starts_with('#')) {
                    block["until"] = json!(soon);
                }
            });
        });
    }
}
