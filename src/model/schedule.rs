//! Schedules: a Task every `interval` seconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ApplicationId, FunctionName, Json, ObjectId, OnComplete, Priority, Timestamp, UserId, json::even_null};

/// Creates a Task of its Function every `interval` seconds, starting at `start_timestamp`, without drift.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Its id.
    pub id: ObjectId,
    /// Seconds between two occurrences.
    pub interval: Interval,
    /// The Function that runs.
    pub function_name: FunctionName,
    /// The `data` that each Task gets.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "even_null")]
    // Not `nullable`: any JSON includes null already.
    #[schema(value_type = Json, required = false)]
    pub data: Option<Json>,
    /// The priority that each Task gets; the Function's default at that time if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<Priority>,
    /// The first occurrence; every later one follows a whole number of intervals after it.
    pub start_timestamp: Timestamp,
    /// The next occurrence.
    pub next_timestamp: Timestamp,
    /// When it was created.
    pub creation_timestamp: Timestamp,
    /// When it last changed, by a caller or by an occurrence.
    pub update_timestamp: Timestamp,
    /// Who created it, and thereby its Tasks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_by_user_id: Option<UserId>,
    /// The application that it was created through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_by_application_id: Option<ApplicationId>,
    /// What runs once each of its Tasks is final.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub on_complete: Option<OnComplete>,
}

impl Schedule {
    /// The first occurrence after `now`: the next `next_timestamp` once all occurrences up to `now` are handled. Missed
    /// occurrences are skipped, so that a long outage ends in one catch-up run and not in a flood.
    pub fn occurrence_after(&self, now: Timestamp) -> Timestamp {
        if now < self.start_timestamp {
            return self.start_timestamp;
        }
        let interval = self.interval.as_millis();
        let passed = (now.as_millis() - self.start_timestamp.as_millis()) / interval;
        Timestamp::saturating_from_millis(self.start_timestamp.as_millis() + (passed + 1) * interval)
    }

    /// The last unhandled occurrence up to `now`: the one Task for all missed occurrences gets this start.
    pub fn latest_occurrence(&self, now: Timestamp) -> Timestamp {
        let interval = self.interval.as_millis();
        let missed = (now.as_millis() - self.next_timestamp.as_millis()).max(0) / interval;
        Timestamp::saturating_from_millis(self.next_timestamp.as_millis() + missed * interval)
    }
}

/// A Schedule to be created.
#[derive(Clone, Debug)]
pub struct NewSchedule {
    /// Seconds between two occurrences.
    pub interval: Interval,
    /// The Function that runs; it must exist.
    pub function_name: FunctionName,
    /// The `data` that each Task gets.
    pub data: Option<Json>,
    /// The priority that each Task gets.
    pub priority: Option<Priority>,
    /// The first occurrence; now by default.
    pub start_timestamp: Option<Timestamp>,
    /// What runs once each of its Tasks is final.
    pub on_complete: Option<OnComplete>,
}

/// Seconds between two occurrences: 1 to 315,576,000 (ten years).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "i64", into = "i64")]
#[schema(value_type = u32, minimum = 1, maximum = 315576000, example = 3600)]
pub struct Interval(u32);

/// The number is not a valid [`Interval`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of seconds from 1 to 315576000")]
pub struct InvalidInterval;

impl Interval {
    /// An interval of this many seconds.
    pub fn from_secs(secs: i64) -> Result<Self, InvalidInterval> {
        match u32::try_from(secs) {
            Ok(secs @ 1..=315_576_000) => Ok(Self(secs)),
            _ => Err(InvalidInterval),
        }
    }

    /// The interval as a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }

    fn as_millis(self) -> i64 {
        i64::from(self.0) * 1000
    }
}

impl TryFrom<i64> for Interval {
    type Error = InvalidInterval;
    fn try_from(secs: i64) -> Result<Self, InvalidInterval> {
        Self::from_secs(secs)
    }
}

impl From<Interval> for i64 {
    fn from(interval: Interval) -> Self {
        i64::from(interval.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(interval: i64, next: i64) -> Schedule {
        let time = Timestamp::saturating_from_millis;
        Schedule {
            id: ObjectId::first_at(time(0)),
            interval: Interval::from_secs(interval).unwrap(),
            function_name: FunctionName::parse("hello").unwrap(),
            data: None,
            priority: None,
            start_timestamp: time(500),
            next_timestamp: time(next),
            creation_timestamp: time(0),
            update_timestamp: time(0),
            created_by_user_id: None,
            created_by_application_id: None,
            on_complete: None,
        }
    }

    #[test]
    fn the_latest_occurrence_is_the_last_one_that_is_due() {
        let latest =
            |next, now| schedule(2, next).latest_occurrence(Timestamp::saturating_from_millis(now)).as_millis();
        assert_eq!(latest(500, 500), 500, "the first one, at its time");
        assert_eq!(latest(2500, 4499), 2500);
        assert_eq!(latest(2500, 4500), 4500);
        assert_eq!(latest(2500, 60_000), 58_500);
        assert_eq!(latest(2500, 1000), 2500, "not due yet, because the clock was set back");
    }
}
