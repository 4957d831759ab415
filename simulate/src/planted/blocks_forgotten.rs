//! A part gets its block without regard to the blocks of the other parts.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{each_ledger_row, rewrite_holders};

pub const BUG: Bug = Bug::new("blocks-forgotten", &BlocksForgotten);

struct BlocksForgotten;

impl Seams for BlocksForgotten {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        if operation == "TransactWriteItems" {
            each_ledger_row(operation, body, |row| {
                rewrite_holders(row, |holders| holders.retain(|name, _| !name.starts_with('#')));
            });
        }
    }
}
