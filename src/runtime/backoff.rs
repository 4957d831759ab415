//! How long to wait between the tries of a call.

use std::time::Duration;

/// Pauses that double, from the first to the longest, without end. `take` limits how many tries there are.
///
/// It draws no random numbers: where calls that failed together would fail together again, [`Backoff::spread_by`] takes
/// the numbers from its caller, so that tests and the simulation repeat them.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Pauses from `first` to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first.min(longest), longest }
    }

    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        pause
    }

    /// The same pauses, each multiplied by another `share`, which is between 0 and 1.
    pub fn spread_by(self, mut share: impl FnMut() -> f64) -> impl Iterator<Item = Duration> {
        self.map(move |pause| pause.mul_f64(share()))
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.pause())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(pauses: impl Iterator<Item = Duration>) -> Vec<u128> {
        pauses.map(|pause| pause.as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        assert_eq!(millis(backoff.take(6)), [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn pauses_are_multiplied_by_the_callers_shares() {
        let mut shares = [0.5, 1.0, 0.25].into_iter();
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let spread = backoff.spread_by(|| shares.next().unwrap());
        assert_eq!(millis(spread.take(3)), [50, 200, 100]);
    }
}
