//! A Schedule moves on too far, to a later time of its grid.

use serde_json::Value;

use super::seams::{Bug, Seams};
use crate::request::{each_part, shift, value};

pub const BUG: Bug = Bug::new("occurrence-lost", &OccurrenceLost);

struct OccurrenceLost;

/// A multiple of two of the intervals that Schedules have in the simulation.
const TOO_FAR: i64 = 21_000;

impl Seams for OccurrenceLost {
    fn rewrite_request(&self, operation: &str, body: &mut Value, _: i64) {
        each_part(operation, body, |part| {
            if value(part, ":set_lastTask").is_some() {
                shift(&mut part["ExpressionAttributeValues"], ":set_next", ":set_laneKey", TOO_FAR);
            }
        });
    }
}
