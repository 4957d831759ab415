//! Since when a process has been at work without a break.

use std::time::Duration;

use tasklane_model::Timestamp;

/// How long after a look the next one comes, at the latest, in a process that is at work: longer than its longest sleep and
/// than a database is slow. If it takes longer, the machine was suspended, or its clock was set.
const LONGEST_BREAK: Duration = Duration::from_secs(30);

/// Since when a process has been at work. What should have happened before happened while nothing ran.
#[derive(Clone, Copy, Debug)]
pub(super) struct Up {
    since: Timestamp,
    seen: Timestamp,
    /// How long after a look the next one may come.
    longest_break: Duration,
}

impl Up {
    /// From now on, on a clock that may be set forward by this much meanwhile.
    pub(super) fn since(now: Timestamp, longest_jump: Duration) -> Self {
        Self { since: now, seen: now, longest_break: LONGEST_BREAK + longest_jump }
    }

    /// Notes that it is at work at `now`. Returns since when it has been.
    pub(super) fn is_up_at(&mut self, now: Timestamp) -> Timestamp {
        if now.since(self.seen) > self.longest_break {
            self.since = now;
        }
        self.seen = now;
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_ends_only_if_it_is_long() {
        let at = |secs: i64| Timestamp::saturating_from_millis(secs * 1000);
        let mut up = Up::since(at(100), Duration::ZERO);
        assert_eq!(up.is_up_at(at(105)), at(100));
        assert_eq!(up.is_up_at(at(135)), at(100));
        assert_eq!(up.is_up_at(at(120)), at(100), "the clock was set back");
        assert_eq!(up.is_up_at(at(3720)), at(3720));
        assert_eq!(up.is_up_at(at(3721)), at(3720));
    }

    #[test]
    fn a_clock_that_tests_set_makes_no_break() {
        let at = |secs: i64| Timestamp::saturating_from_millis(secs * 1000);
        let mut up = Up::since(at(100), Duration::from_secs(3600));
        assert_eq!(up.is_up_at(at(3700)), at(100));
    }
}
