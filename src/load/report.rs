//! The results of the calls.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

/// Longer times are recorded as this one.
const LONGEST: Duration = Duration::from_secs(600);

/// The results of the calls of one or more connections.
#[derive(Clone, Debug)]
pub struct Report {
    /// The time of each successful call, in nanoseconds, to three digits.
    times: Histogram<u64>,
    failures: BTreeMap<String, u64>,
    /// From the first call's start to the last one's end.
    pub(super) took: Duration,
}

impl Default for Report {
    fn default() -> Self {
        Self { times: times(), failures: BTreeMap::new(), took: Duration::ZERO }
    }
}

impl Report {
    pub fn succeeded(&self) -> u64 {
        self.times.len()
    }

    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// The number of failed calls by error.
    pub fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }

    /// From the first call's start to the last one's end.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Successful calls per second.
    #[allow(clippy::cast_precision_loss)] // a figure for people, which need not be exact
    pub fn rate(&self) -> f64 {
        if self.took.is_zero() { 0.0 } else { self.succeeded() as f64 / self.took.as_secs_f64() }
    }

    /// The longest time of this share of the calls, from 0 to 1. Zero if no call succeeded.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.times.value_at_quantile(share))
    }

    pub fn mean(&self) -> Duration {
        Duration::try_from_secs_f64(self.times.mean() / 1e9).unwrap_or_default()
    }

    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.times.max())
    }

    /// The number of calls in each step of time. Each step ends at a multiple of the one before, from the fastest call to
    /// the slowest.
    pub fn steps(&self, factor: f64) -> Vec<(Duration, u64)> {
        if self.times.is_empty() {
            return Vec::new();
        }
        let steps = self.times.iter_log(self.times.min().max(1), factor.max(1.01));
        let counted =
            steps.map(|step| (Duration::from_nanos(step.value_iterated_to()), step.count_since_last_iteration()));
        counted.skip_while(|(_, count)| *count == 0).collect()
    }

    pub(super) fn succeed(&mut self, time: Duration) {
        let nanos = u64::try_from(time.min(LONGEST).as_nanos()).unwrap_or(u64::MAX);
        self.times.saturating_record(nanos);
    }

    pub(super) fn fail(&mut self, why: String) {
        *self.failures.entry(why).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        // Both have the same bounds, so this cannot fail.
        let _ = self.times.add(&other.times);
        for (why, count) in &other.failures {
            *self.failures.entry(why.clone()).or_default() += count;
        }
    }
}

fn times() -> Histogram<u64> {
    let longest = u64::try_from(LONGEST.as_nanos()).unwrap_or(u64::MAX);
    Histogram::new_with_bounds(1, longest, 3).unwrap_or_else(|_| {
        // The constant bounds are valid; a histogram that grows would give the same results.
        let mut growing = Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are allowed"));
        growing.auto(true);
        growing
    })
}
