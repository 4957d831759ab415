//! Cron expressions: which times of a calendar they name.
//!
//! The crate `croner` reads them and searches the calendar. What a change of the clocks does to the times that it finds is
//! decided in [`super::occurrences`], because `croner` calls only single values a fixed time, and not `30 1,13 * * *`
//! (docs/adr/0014).

use std::{cmp::Ordering, fmt, str::FromStr};

use croner::{
    CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};
use jiff::{SignedDuration, ToSpan as _, civil::DateTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest expression, in bytes.
const LONGEST: usize = 256;

/// How many years are searched for the next time. The rarest dates that exist, such as a Monday that is February 29, are at
/// most 40 years apart.
const YEARS: i64 = 50;

/// A cron expression of five fields, or of six with seconds first. It names at least one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 256, example = "30 8 * * MON-FRI")]
pub struct Cron(Box<Parsed>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parsed {
    text: String,
    times: croner::Cron,
    /// Whether seconds, minutes or hours contain `*`.
    is_wildcard: bool,
}

/// The string is not a [`Cron`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    /// It is empty or too long.
    #[error("must be a cron expression of 1 to {LONGEST} characters")]
    Length,
    /// It cannot be read.
    #[error("is not a cron expression of five fields, or six with seconds first: {0}")]
    Syntax(String),
    /// There is no such date.
    #[error("never fires: no date within {YEARS} years matches")]
    Never,
}

impl Cron {
    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether it repeats within the day (`*` in seconds, minutes or hours), and so follows the clock through its changes.
    /// Any other expression names fixed times, each of which counts once a day.
    pub fn is_wildcard(&self) -> bool {
        self.0.is_wildcard
    }

    /// The first time on the calendar after this one, or this one itself if it is `inclusive` and matches. `None` if there
    /// is none within 50 years or in the years up to 9999.
    pub(super) fn next_on_calendar(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        let until = from.checked_add(YEARS.years()).unwrap_or(DateTime::MAX);
        self.0.times.find_next_occurrence(&OnCalendar { time: from, until }, inclusive).ok().map(|found| found.time)
    }
}

impl FromStr for Cron {
    type Err = InvalidCron;

    fn from_str(text: &str) -> Result<Self, InvalidCron> {
        if text.trim().is_empty() || text.len() > LONGEST {
            return Err(InvalidCron::Length);
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let syntax = |error: CronError| InvalidCron::Syntax(error.to_string());
        let times = parser.parse(text).map_err(syntax)?;
        // With nicknames such as `@daily` replaced.
        let fields: Vec<_> = times.pattern.as_str().split_whitespace().collect();
        let is_wildcard = fields[..fields.len().saturating_sub(3)].iter().any(|field| field.contains('*'));
        let cron = Self(Box::new(Parsed { text: text.to_owned(), times, is_wildcard }));
        // Which dates match repeats every 400 years, and any 50 of them contain each kind of year.
        match cron.next_on_calendar(DateTime::constant(2000, 1, 1, 0, 0, 0, 0), true) {
            Some(_) => Ok(cron),
            None => Err(InvalidCron::Never),
        }
    }
}

impl TryFrom<String> for Cron {
    type Error = InvalidCron;
    fn try_from(text: String) -> Result<Self, InvalidCron> {
        text.parse()
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.0.text
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

/// A time on a calendar without time zones, and where a search that began there ends.
#[derive(Clone)]
struct OnCalendar {
    time: DateTime,
    until: DateTime,
}

// jiff's fields are small and not negative, and croner's are in range, so that nothing is cut off here.
#[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)]
impl CronDateTime for OnCalendar {
    fn to_civil(&self) -> CivilDateTime {
        let time = self.time;
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(i32::from(time.year()), time.month() as u32, time.day() as u32),
            CivilTime::from_parts_unchecked(time.hour() as u32, time.minute() as u32, time.second() as u32),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(self.time.weekday().to_sunday_zero_offset() as u32)
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let time = DateTime::new(
            year,
            civil.month() as i8,
            civil.day() as i8,
            civil.hour() as i8,
            civil.minute() as i8,
            civil.second() as i8,
            0,
        )
        .map_err(|_| CronError::InvalidDate)?;
        // croner itself would go on to the year 5000.
        if time > self.until {
            return Err(CronError::TimeSearchLimitExceeded);
        }
        Ok(Resolution::Single(Self { time, until: self.until }))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        let time = self.time.checked_add(SignedDuration::from_secs(seconds)).ok()?;
        Some(Self { time, until: self.until })
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.time.cmp(&other.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_and_six_fields_names_and_dates_of_the_month_are_read() {
        for text in [
            "* * * * *",
            "*/5 * * * * *",
            "30 8 * * MON-FRI",
            "0 0 1 JAN,jul *",
            "0 0 L * *",
            "0 9 * * MON#1",
            "0 9 * * FRI#L",
            "0 9 * * 5L",
            "0 0 29 2 *",
            "0 0 29 2 +MON",
            "@daily",
            "0 12 15W * ?",
        ] {
            assert_eq!(text.parse::<Cron>().map(|cron| cron.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_no_expression_or_never_fires_is_refused() {
        for text in
            ["* * * *", "* * * * * * *", "60 * * * *", "0 24 * * *", "* * 32 * *", "a b c d e", "0/5 * * * *", "@x"]
        {
            assert!(matches!(text.parse::<Cron>(), Err(InvalidCron::Syntax(_))), "{text}");
        }
        for text in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 0 31 APR *"] {
            assert_eq!(text.parse::<Cron>(), Err(InvalidCron::Never), "{text}");
        }
        for text in ["", "  ", &format!("{} * * * *", "1,".repeat(200))] {
            assert_eq!(text.parse::<Cron>(), Err(InvalidCron::Length), "{text}");
        }
    }

    #[test]
    fn only_a_wildcard_in_the_time_of_day_makes_a_wildcard() {
        let is_wildcard = |text: &str| text.parse::<Cron>().unwrap().is_wildcard();
        for text in ["* * * * *", "*/30 2 * * *", "0 * * * *", "0 */2 1 * *", "* 0 0 * * *", "@hourly", "1,*/7 3 * * *"]
        {
            assert!(is_wildcard(text), "{text}");
        }
        for text in ["0 0 * * *", "0,30 1-3 * * *", "5 4 3 * * *", "0-59 1 * * *", "@daily", "@weekly"] {
            assert!(!is_wildcard(text), "{text}");
        }
    }

    #[test]
    fn a_search_ends_at_the_end_of_the_calendar() {
        let cron: Cron = "0 0 1 1 *".parse().unwrap();
        let last = DateTime::constant(9999, 6, 1, 0, 0, 0, 0);
        assert_eq!(cron.next_on_calendar(last, false), None);
    }
}
