//! Points in time, as the service stores and prints them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// A point in time with millisecond precision, printed as `2026-01-31T08:15:30.123Z` (contract §3).
///
/// Limited to the years 1970–9999, so that the printed form always has the same width and sorts as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(description = "A point in time, to the millisecond, in UTC.", value_type = String, format = DateTime, example = "2026-01-31T08:15:30.123Z")]
pub struct Timestamp(i64);

const LATEST_MILLIS: i64 = 253_402_300_799_999;

/// Why a text or a number is no [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a timestamp; expected the form 2026-01-31T08:15:30.123Z, between the years 1970 and 9999")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);
    /// The last moment that can be written down.
    pub const LATEST: Self = Self(LATEST_MILLIS);

    /// From milliseconds since the Unix epoch.
    pub fn from_millis(millis: i64) -> Result<Self, InvalidTimestamp> {
        if (0..=LATEST_MILLIS).contains(&millis) { Ok(Self(millis)) } else { Err(InvalidTimestamp) }
    }

    /// From milliseconds since the Unix epoch; what lies outside of the range becomes its nearest end.
    pub fn saturating_from_millis(millis: i64) -> Self {
        Self(millis.clamp(0, LATEST_MILLIS))
    }

    /// Milliseconds since the Unix epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub fn as_secs(self) -> i64 {
        self.0 / 1000
    }

    /// The moment `by` later, or the last one there is.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self::saturating_from_millis(self.0.saturating_add(millis))
    }

    /// The moment `by` earlier, or the first one there is.
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self::saturating_from_millis(self.0.saturating_sub(millis))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The UTC day, as `20260131`: what records are partitioned by.
    pub fn day(self) -> String {
        let printed = self.to_string();
        format!("{}{}{}", &printed[0..4], &printed[5..7], &printed[8..10])
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The range of `Timestamp` lies within jiff's, so this never falls back.
        let time = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{time:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Takes RFC 3339 with any offset, and a bare date (midnight UTC).
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Self::from_millis(time.as_millisecond());
        }
        // A date-time that names no offset would be local time, and a server has no business guessing which.
        let is_date = text.len() == 10 && text.bytes().filter(|b| *b == b'-').count() == 2;
        if is_date && let Ok(midnight) = format!("{text}T00:00:00Z").parse::<jiff::Timestamp>() {
            return Self::from_millis(midnight.as_millisecond());
        }
        Err(InvalidTimestamp)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_milliseconds_and_zulu_whatever_was_given() {
        for (given, printed) in [
            ("2026-01-31T08:15:30.123Z", "2026-01-31T08:15:30.123Z"),
            ("2026-01-31T08:15:30Z", "2026-01-31T08:15:30.000Z"),
            ("2026-01-31T09:15:30.5+01:00", "2026-01-31T08:15:30.500Z"),
            ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ] {
            assert_eq!(given.parse::<Timestamp>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn refuses_what_names_no_moment() {
        for given in ["", "yesterday", "2026-01-31T08:15:30", "1969-12-31T00:00:00Z", "2026-13-01", "20260131"] {
            assert_eq!(given.parse::<Timestamp>(), Err(InvalidTimestamp), "{given}");
        }
    }

    #[test]
    fn the_day_is_the_utc_day() {
        assert_eq!("2026-01-31T23:59:59.999Z".parse::<Timestamp>().unwrap().day(), "20260131");
    }
}
