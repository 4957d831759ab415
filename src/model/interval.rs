//! The time between two occurrences of a Schedule.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// The shortest interval, in seconds.
    pub const MIN: u32 = 1;
    /// The longest one: ten years.
    pub const MAX: u32 = 315_576_000;

    /// An interval of this many seconds.
    pub fn from_secs(secs: i64) -> Result<Self, InvalidInterval> {
        match u32::try_from(secs) {
            Ok(secs @ Self::MIN..=Self::MAX) => Ok(Self(secs)),
            _ => Err(InvalidInterval),
        }
    }

    /// The interval as a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }

    /// The interval in milliseconds.
    pub(super) fn as_millis(self) -> i64 {
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
