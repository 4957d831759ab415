//! Lambda mistakes dispatchers that wake one another for a recursive loop, and drops the next wake-up.
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("loops-detected", &LoopsDetected);

/// The length of the chain of wake-ups after which Lambda drops the next one. AWS allows about 16. A history of a
/// minute or two seldom has such long chains, so this is shorter: the fault is the same and happens more often.
const LONGEST_CHAIN: u32 = 3;

struct LoopsDetected;

impl Seams for LoopsDetected {
    fn drops_wakeup(&self, hops: u32) -> bool {
        hops > LONGEST_CHAIN
    }
}
