//! Time zones by their IANA names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A time zone of the IANA database, such as `Europe/Berlin`. The database is part of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, max_length = 64, example = "Europe/Berlin")]
pub struct TimeZone(jiff::tz::TimeZone);

/// The string does not name a [`TimeZone`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be the name of a time zone, such as Europe/Berlin or UTC")]
pub struct UnknownTimeZone;

/// The longest name that is looked up; the longest that exists has half as many.
const LONGEST: usize = 64;

impl TimeZone {
    /// The zone that a Schedule has by default.
    pub fn utc() -> Self {
        Self(jiff::tz::TimeZone::UTC)
    }

    /// The name, spelled as in the database.
    pub fn name(&self) -> &str {
        // Only zones of the database come here, and those have names.
        self.0.iana_name().unwrap_or("UTC")
    }

    /// When the clocks of the zone show what.
    pub(super) fn rules(&self) -> &jiff::tz::TimeZone {
        &self.0
    }
}

impl FromStr for TimeZone {
    type Err = UnknownTimeZone;

    fn from_str(text: &str) -> Result<Self, UnknownTimeZone> {
        if text.len() > LONGEST {
            return Err(UnknownTimeZone);
        }
        if text.eq_ignore_ascii_case("UTC") {
            return Ok(Self::utc());
        }
        let zone = jiff::tz::TimeZone::get(text).map_err(|_| UnknownTimeZone)?;
        if zone.iana_name().is_none() || zone.is_unknown() { Err(UnknownTimeZone) } else { Ok(Self(zone)) }
    }
}

impl TryFrom<String> for TimeZone {
    type Error = UnknownTimeZone;
    fn try_from(text: String) -> Result<Self, UnknownTimeZone> {
        text.parse()
    }
}

impl From<TimeZone> for String {
    fn from(zone: TimeZone) -> Self {
        zone.name().to_owned()
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_known_by_name_and_spelled_as_in_the_database() {
        for (given, name) in
            [("Europe/Berlin", "Europe/Berlin"), ("australia/lord_howe", "Australia/Lord_Howe"), ("utc", "UTC")]
        {
            assert_eq!(given.parse::<TimeZone>().unwrap().name(), name);
        }
        for given in ["", "Berlin", "+01:00", "../etc/passwd", "Europe/Berlin ", "Etc/Unknown", &"a".repeat(100)] {
            assert_eq!(given.parse::<TimeZone>(), Err(UnknownTimeZone), "{given}");
        }
    }
}
