//! When a failed run is tried again (contract §4).

use std::time::Duration;

const DELAYS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];

/// How long after a failure the next run starts, given how many runs came before the one that failed; `None` once
/// three retries were made.
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
