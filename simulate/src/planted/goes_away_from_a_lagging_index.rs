//! A dispatcher that sees nothing ends its shift, even if the index does not yet show the Task that it was woken for.

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("goes-away-from-a-lagging-index", &GoesAwayFromALaggingIndex);

struct GoesAwayFromALaggingIndex;

impl Seams for GoesAwayFromALaggingIndex {
    fn forgets_what_it_was_woken_for(&self) -> bool {
        true
    }
}
