//! A claim whose response was lost is left to its lease.

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("claim-given-up", &ClaimGivenUp);

struct ClaimGivenUp;

impl Seams for ClaimGivenUp {
    fn claims_once(&self) -> bool {
        true
    }
}
