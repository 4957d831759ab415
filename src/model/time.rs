//! Points in time, as the service stores and prints them.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{SignedDuration, civil::DateTime, fmt::temporal::Pieces, tz::Offset};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// A point in time with millisecond precision, printed as `2026-01-31T08:15:30.123Z` (contract §3).
///
/// Limited to the years 1970–9999, so that the printed form always has the same width and sorts as a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(description = "A point in time, to the millisecond, in UTC.", value_type = String, format = DateTime, example = "2026-01-31T08:15:30.123Z")]
pub struct Timestamp(i64);

const LATEST_MILLIS: i64 = 253_402_300_799_999;

/// The string or number is not a valid [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a timestamp; expected the form 2026-01-31T08:15:30.123Z, between the years 1970 and 9999")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);
    /// The last moment that can be represented.
    pub const LATEST: Self = Self(LATEST_MILLIS);

    /// From milliseconds since the Unix epoch.
    pub fn from_millis(millis: i64) -> Result<Self, InvalidTimestamp> {
        if (0..=LATEST_MILLIS).contains(&millis) { Ok(Self(millis)) } else { Err(InvalidTimestamp) }
    }

    /// From milliseconds since the Unix epoch, clamped to the range.
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

    /// The moment `by` later, or the last one.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self::saturating_from_millis(self.0.saturating_add(millis))
    }

    /// The moment `by` earlier, or the first one.
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self::saturating_from_millis(self.0.saturating_sub(millis))
    }

    /// The time since `earlier`; zero if that is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The UTC day, such as `20260131`. Records are partitioned by it.
    pub fn day(self) -> String {
        let printed = self.to_string();
        format!("{}{}{}", &printed[0..4], &printed[5..7], &printed[8..10])
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // jiff's own timestamps end 26 hours before the year 9999 does, because each must be a valid date in every zone.
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{:.3}Z", EPOCH.saturating_add(SignedDuration::from_millis(self.0))),
        }
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Accepts RFC 3339 with any offset, and a bare date (midnight UTC).
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let written = Pieces::parse(text).map_err(|_| InvalidTimestamp)?;
        let is_date = text.len() == 10 && text.bytes().filter(|b| *b == b'-').count() == 2;
        match (written.time(), written.to_numeric_offset()) {
            (Some(time), Some(offset)) => Self::from_millis(millis(written.date().to_datetime(time), offset)),
            (None, None) if is_date => Self::from_millis(millis(written.date().at(0, 0, 0, 0), Offset::UTC)),
            // A date-time without an offset is local time, and a server must not guess the zone.
            _ => Err(InvalidTimestamp),
        }
    }
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Milliseconds since the Unix epoch when a clock with this offset shows this time.
pub fn millis(shown: DateTime, offset: Offset) -> i64 {
    let since_epoch = shown.duration_since(EPOCH) - SignedDuration::from_secs(i64::from(offset.seconds()));
    // Twenty thousand years of milliseconds fit into 64 bits.
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
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
    fn always_prints_milliseconds_in_utc() {
        for (given, printed) in [
            ("2026-01-31T08:15:30.123Z", "2026-01-31T08:15:30.123Z"),
            ("2026-01-31T08:15:30Z", "2026-01-31T08:15:30.000Z"),
            ("2026-01-31T09:15:30.5+01:00", "2026-01-31T08:15:30.500Z"),
            ("2026-01-31", "2026-01-31T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
            ("9999-12-31T23:59:59.999999999+00:00", "9999-12-31T23:59:59.999Z"),
            ("9999-12-30T22:00:01Z", "9999-12-30T22:00:01.000Z"),
            ("9999-12-31", "9999-12-31T00:00:00.000Z"),
            ("1970-01-01T01:00:00+01:00", "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(given.parse::<Timestamp>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn strings_that_are_not_timestamps_are_refused() {
        for given in [
            "",
            "yesterday",
            "2026-01-31T08:15:30",
            "1969-12-31T00:00:00Z",
            "2026-13-01",
            "20260131",
            "9999-12-31T23:59:59.999-00:01",
            "10000-01-01T00:00:00Z",
            "1970-01-01T00:00:00+00:01",
        ] {
            assert_eq!(given.parse::<Timestamp>(), Err(InvalidTimestamp), "{given}");
        }
    }

    #[test]
    fn every_timestamp_is_read_back_as_printed() {
        for moment in
            [Timestamp::EPOCH, Timestamp::LATEST, Timestamp(253_402_207_200_999), Timestamp(253_402_207_201_000)]
        {
            assert_eq!(moment.to_string().parse(), Ok(moment));
            assert_eq!(moment.to_string().len(), 24);
        }
        assert_eq!(Timestamp::LATEST.day(), "99991231");
    }

    #[test]
    fn the_day_is_the_utc_day() {
        assert_eq!("2026-01-31T23:59:59.999Z".parse::<Timestamp>().unwrap().day(), "20260131");
    }
}
