//! A dispatcher that holds runs does not look at the queue.

use std::time::Duration;

use super::seams::{Bug, Seams};

pub const BUG: Bug = Bug::new("deaf-while-running", &DeafWhileRunning);

/// How long a shift that holds runs sleeps between two looks at the queue.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
const FOR_EVER: Duration = Duration::from_secs(86_400);

struct DeafWhileRunning;

impl Seams for DeafWhileRunning {
    fn sleep(&self, duration: Duration, has_runs: &dyn Fn() -> bool) -> Duration {
        if duration == BETWEEN_LOOKS && has_runs() { FOR_EVER } else { duration }
    }
}
