//! When to retry a failed run (contract §4, §13).

use std::time::Duration;

use tasklane_model::RetryPolicy;
use tasklane_ports::Chance;

/// The delays before the retries of a policy without a strategy of its own.
const DELAYS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];

/// The delay between a failure with an error of this name and the next run, given the number of runs before the failed one.
/// `None` if it is not retried.
pub fn delay_before_retry(
    policy: &RetryPolicy,
    error_name: &str,
    earlier_runs: usize,
    chance: &dyn Chance,
) -> Option<Duration> {
    if !policy.covers(error_name) {
        return None;
    }
    match policy.strategy {
        None => DELAYS.get(earlier_runs).copied(),
        Some(strategy) => {
            let delay = strategy.delay(earlier_runs)?;
            Some(if strategy.jitter() { spread(delay, chance) } else { delay })
        }
    }
}

/// A delay between half of this one and all of it, in whole milliseconds.
pub(super) fn spread(delay: Duration, chance: &dyn Chance) -> Duration {
    let half = delay / 2;
    let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX - 1);
    let mut drawn = [0; 8];
    chance.fill(&mut drawn);
    half + Duration::from_millis(u64::from_be_bytes(drawn) % (millis + 1))
}

#[cfg(test)]
mod tests {
    use tasklane_model::RetryStrategy;

    use super::*;

    /// Fills every buffer with the same byte.
    struct Always(u8);

    impl Chance for Always {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn policy(strategy: Option<&str>) -> RetryPolicy {
        let strategy: Option<RetryStrategy> = strategy.map(|json| serde_json::from_str(json).unwrap());
        RetryPolicy { enabled: true, strategy, ..RetryPolicy::default() }
    }

    fn delays(policy: &RetryPolicy, chance: &dyn Chance) -> Vec<Duration> {
        (0..).map_while(|runs| delay_before_retry(policy, "Oops", runs, chance)).collect()
    }

    #[test]
    fn without_a_strategy_there_are_three_retries_after_2_5_and_10_seconds() {
        assert_eq!(delays(&policy(None), &Always(7)), [2, 5, 10].map(Duration::from_secs));
        assert!(delays(&RetryPolicy::default(), &Always(7)).is_empty());
    }

    #[test]
    fn a_strategy_replaces_them() {
        let fixed = policy(Some(r#"{"maxRetries": 2, "backoff": "fixed", "baseSeconds": 4, "jitter": false}"#));
        assert_eq!(delays(&fixed, &Always(7)), [4, 4].map(Duration::from_secs));
        let none = policy(Some(r#"{"maxRetries": 0}"#));
        assert!(delays(&none, &Always(7)).is_empty());
    }

    #[test]
    fn jitter_is_between_half_of_the_delay_and_all_of_it() {
        let policy = policy(Some(r#"{"maxRetries": 50, "maxSeconds": 60}"#));
        assert_eq!(delays(&policy, &Always(0))[..3], [1, 2, 4].map(Duration::from_secs));
        for byte in 0..=255 {
            for (runs, delay) in delays(&policy, &Always(byte)).into_iter().enumerate() {
                let all = policy.strategy.and_then(|strategy| strategy.delay(runs)).unwrap();
                assert!(delay >= all / 2 && delay <= all, "{delay:?} of {all:?}");
            }
        }
    }
}
