//! When to retry a failed run (contract §4).

use std::time::Duration;

const DELAYS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];

/// The delay between a failure and the next run, given the number of runs before the failed one. `None` after three
/// retries.
///
/// ```
/// # use tasklane_dispatch::delay_before_retry;
/// # use std::time::Duration;
/// let delays: Vec<_> = (0..).map_while(delay_before_retry).collect();
/// assert_eq!(delays, [2, 5, 10].map(Duration::from_secs));
/// ```
pub fn delay_before_retry(earlier_runs: usize) -> Option<Duration> {
    DELAYS.get(earlier_runs).copied()
}
