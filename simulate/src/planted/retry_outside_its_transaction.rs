//! A failed Task becomes `retried` in one write, and its retry is added in another.

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("retry-outside-its-transaction", &RetryOutsideItsTransaction);

struct RetryOutsideItsTransaction;

impl Seams for RetryOutsideItsTransaction {
    fn splits_transactions(&self) -> bool {
        true
    }
}
