//! A value that was read recently and may be used again for a while.

use std::time::Duration;

use tasklane_model::Timestamp;

/// A value, and the time at which it was read.
#[derive(Clone, Debug)]
pub struct Kept<T> {
    value: T,
    read: Timestamp,
}

impl<T> Kept<T> {
    /// Keeps a value that was read at this time.
    pub fn new(value: T, read: Timestamp) -> Self {
        Self { value, read }
    }

    /// The value, if it was read less than `limit` ago.
    ///
    /// If the clock was set back, the value seems to come from the future and its age is unknown: it is not fresh.
    pub fn fresh(&self, limit: Duration, now: Timestamp) -> Option<&T> {
        (now >= self.read && self.age(now) < limit).then_some(&self.value)
    }

    /// The value, however old it is.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// How long ago the value was read; zero if the clock was set back since.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    #[test]
    fn a_value_is_fresh_until_the_limit_and_not_before_it_was_read() {
        let kept = Kept::new("value", at(10_000));
        let limit = Duration::from_secs(5);
        assert_eq!(kept.fresh(limit, at(10_000)), Some(&"value"));
        assert_eq!(kept.fresh(limit, at(14_999)), Some(&"value"));
        assert_eq!(kept.fresh(limit, at(15_000)), None);
        assert_eq!(kept.fresh(limit, at(9_999)), None);
        assert_eq!(kept.fresh(Duration::ZERO, at(10_000)), None);
        assert_eq!((kept.value(), kept.age(at(9_999)), kept.age(at(12_000)).as_secs()), (&"value", Duration::ZERO, 2));
    }
}
