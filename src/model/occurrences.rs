//! When a Schedule is due: a fixed interval, or a cron expression in a time zone.

use jiff::{civil::DateTime, tz::AmbiguousOffset};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Cron, Interval, TimeZone, Timestamp};

/// How a Schedule repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenRecurrence", into = "WrittenRecurrence")]
pub enum Recurrence {
    /// At its start, and then after each interval, without drift.
    Every(Interval),
    /// When the clocks of a zone show what an expression names.
    ///
    /// A fixed time that a spring gap leaves out counts at the gap's end, once; one that autumn repeats counts the first
    /// time. An expression with a wildcard in its time of day follows the clock through both.
    Cron(Cron, TimeZone),
}

/// How a Schedule repeats: with `interval`, or with `cron`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Recurrence)]
pub(super) struct WrittenRecurrence {
    /// Seconds between two occurrences.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) interval: Option<Interval>,
    /// When it is due, as five fields (minute, hour, day of month, month, day of week) or six with seconds first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) cron: Option<Cron>,
    /// The time zone of `cron`, by its IANA name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) timezone: Option<TimeZone>,
}

/// A Schedule has either `interval` or `cron`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("has neither or both of 'interval' and 'cron'")]
pub struct NoRecurrence;

impl TryFrom<WrittenRecurrence> for Recurrence {
    type Error = NoRecurrence;
    fn try_from(written: WrittenRecurrence) -> Result<Self, NoRecurrence> {
        match (written.interval, written.cron) {
            (Some(interval), None) => Ok(Self::Every(interval)),
            (None, Some(cron)) => Ok(Self::Cron(cron, written.timezone.unwrap_or_else(TimeZone::utc))),
            (None, None) | (Some(_), Some(_)) => Err(NoRecurrence),
        }
    }
}

impl From<Recurrence> for WrittenRecurrence {
    fn from(recurrence: Recurrence) -> Self {
        match recurrence {
            Recurrence::Every(interval) => Self { interval: Some(interval), cron: None, timezone: None },
            Recurrence::Cron(cron, zone) => Self { interval: None, cron: Some(cron), timezone: Some(zone) },
        }
    }
}

impl Recurrence {
    /// The first occurrence after a moment, of a Schedule that starts at `start`; `None` if there is none any more.
    pub fn after(&self, moment: Timestamp, start: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(_) if moment < start => Some(start),
            Self::Every(interval) => {
                let (interval, start) = (interval.as_millis(), start.as_millis());
                let passed = (moment.as_millis() - start) / interval;
                Timestamp::from_millis(start + (passed + 1) * interval).ok()
            }
            Self::Cron(cron, zone) => {
                let before_start = Timestamp::saturating_from_millis(start.as_millis() - 1);
                let next = cron_after(cron, zone, moment.max(before_start).as_millis().div_euclid(1000))?;
                Timestamp::from_millis(next.checked_mul(1000)?).ok()
            }
        }
    }
}

impl Recurrence {
    /// A start with the same occurrences after `start`, at this moment or before it, or the earliest that a timestamp can be.
    pub(super) fn same_start_before(&self, moment: Timestamp, start: Timestamp) -> Timestamp {
        if moment >= start {
            return start;
        }
        match self {
            Self::Every(interval) => {
                let (interval, ahead) = (interval.as_millis(), start.as_millis() - moment.as_millis());
                let wanted = ahead / interval + i64::from(ahead % interval != 0);
                // A timestamp is not negative.
                let intervals = wanted.min(start.as_millis() / interval);
                Timestamp::saturating_from_millis(start.as_millis() - intervals * interval)
            }
            Self::Cron(..) => moment,
        }
    }
}

/// The first whole second since the epoch after this one, or after its fractions, at which an expression is due.
fn cron_after(cron: &Cron, zone: &TimeZone, second: i64) -> Option<i64> {
    let now = jiff::Timestamp::from_second(second).ok()?;
    if cron.is_wildcard() { wildcard_after(cron, zone, now) } else { fixed_after(cron, zone, now) }
}

/// The next time of fixed ones: each date and time on the calendar stands for one moment, and a later one for none
/// earlier.
fn fixed_after(cron: &Cron, zone: &TimeZone, now: jiff::Timestamp) -> Option<i64> {
    let mut shown = zone.rules().to_datetime(now);
    // While the clock repeats an hour, its times all stand for earlier moments, so there may be 3,600 of them.
    loop {
        shown = cron.next_on_calendar(shown, false)?;
        let moment = moment_of(zone, shown)?;
        if moment > now {
            return Some(moment.as_second());
        }
    }
}

/// The moment for which a fixed time stands: the first one at which the clock shows it, or at which it jumps over it.
fn moment_of(zone: &TimeZone, shown: DateTime) -> Option<jiff::Timestamp> {
    match zone.rules().to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(shown).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(shown).ok(),
        // By the clock that was set forward it is before the gap, so the next change of the clocks is the gap itself.
        AmbiguousOffset::Gap { after, .. } => {
            let before_gap = after.to_timestamp(shown).ok()?;
            zone.rules().following(before_gap).next().map(|change| change.timestamp())
        }
    }
}

/// The next moment at which the clock shows a time that matches: between two of its changes, it runs like any other.
fn wildcard_after(cron: &Cron, zone: &TimeZone, now: jiff::Timestamp) -> Option<i64> {
    let (mut from, mut inclusive) = (now, false);
    let mut changes = zone.rules().following(now);
    loop {
        let offset = zone.rules().to_offset(from);
        let shown = cron.next_on_calendar(offset.to_datetime(from), inclusive)?;
        let moment = offset.to_timestamp(shown).ok()?;
        match changes.next() {
            Some(change) if moment >= change.timestamp() => (from, inclusive) = (change.timestamp(), true),
            Some(_) | None => return Some(moment.as_second()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let recurrence = Recurrence::Cron(cron.parse().unwrap(), zone.parse().unwrap());
        let mut at: Timestamp = from.parse().unwrap();
        let next = || {
            at = recurrence.after(at, Timestamp::EPOCH)?;
            Some(at.to_string().replace(":00.000Z", "Z").replace("2026-", ""))
        };
        std::iter::from_fn(next).take(count).collect()
    }

    #[test]
    fn a_fixed_time_in_a_spring_gap_counts_once_at_its_end() {
        // Berlin: on March 29, 2:00 is followed by 3:00, which is 1:00 UTC.
        let spring = |cron| times(cron, "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(spring("30 2 * * *"), ["03-28T01:30Z", "03-29T01:00Z", "03-30T00:30Z"]);
        assert_eq!(spring("0 2 * * *"), ["03-28T01:00Z", "03-29T01:00Z", "03-30T00:00Z"]);
        assert_eq!(spring("0,30 2 29 * *"), ["03-29T01:00Z", "04-29T00:00Z", "04-29T00:30Z"]);
        assert_eq!(spring("30 2,3 29 3 *"), ["03-29T01:00Z", "03-29T01:30Z", "2027-03-29T00:30Z"]);
        assert_eq!(spring("0 2,3 29 3 *"), ["03-29T01:00Z", "2027-03-29T00:00Z", "2027-03-29T01:00Z"]);
        // Lord Howe: half an hour; on October 4, 2:00 is followed by 2:30, which is 15:30 UTC on the day before.
        let lord_howe = times("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T12:00:00Z", 3);
        assert_eq!(lord_howe, ["10-02T15:45Z", "10-03T15:30Z", "10-04T15:15Z"]);
        // Troll: two hours; on March 29, 1:00 is followed by 3:00.
        assert_eq!(times("0 1 29 3 *", "Antarctica/Troll", "2026-03-28T00:00:00Z", 1), ["03-29T01:00Z"]);
    }

    #[test]
    fn a_fixed_time_that_autumn_repeats_counts_the_first_time() {
        // Berlin: on October 25, 2:00 to 3:00 is 0:00 to 1:00 UTC, and again 1:00 to 2:00.
        let autumn = |cron| times(cron, "Europe/Berlin", "2026-10-24T12:00:00Z", 3);
        assert_eq!(autumn("30 2 * * *"), ["10-25T00:30Z", "10-26T01:30Z", "10-27T01:30Z"]);
        assert_eq!(autumn("0,30 2 25 10 *"), ["10-25T00:00Z", "10-25T00:30Z", "2027-10-25T00:00Z"]);
        assert_eq!(autumn("0 1-3 25 10 *"), ["10-24T23:00Z", "10-25T00:00Z", "10-25T02:00Z"]);
        // Asked while the hour is repeated.
        assert_eq!(times("30,45 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1), ["10-26T01:30Z"]);
        assert_eq!(times("0-59 0-59 2 * * *", "Europe/Berlin", "2026-10-25T01:00:00Z", 1), ["10-26T01:00Z"]);
        let lord_howe = times("45 1 * * *", "Australia/Lord_Howe", "2026-04-03T20:00:00Z", 2);
        assert_eq!(lord_howe, ["04-04T14:45Z", "04-05T15:15Z"]);
    }

    #[test]
    fn wildcards_follow_the_clock_through_both() {
        let of = |cron, from| times(cron, "Europe/Berlin", from, 4);
        assert_eq!(
            of("*/30 * * * *", "2026-03-29T00:29:59Z"),
            ["03-29T00:30Z", "03-29T01:00Z", "03-29T01:30Z", "03-29T02:00Z"]
        );
        assert_eq!(of("*/30 2 * * *", "2026-03-28T12:00:00Z")[..2], ["03-30T00:00Z", "03-30T00:30Z"]);
        assert_eq!(
            of("*/30 2 * * *", "2026-10-24T12:00:00Z"),
            ["10-25T00:00Z", "10-25T00:30Z", "10-25T01:00Z", "10-25T01:30Z"]
        );
        assert_eq!(
            of("0 * * * *", "2026-10-24T23:30:00Z"),
            ["10-25T00:00Z", "10-25T01:00Z", "10-25T02:00Z", "10-25T03:00Z"]
        );
    }

    #[test]
    fn the_start_is_the_first_moment_that_counts() {
        let cron = Recurrence::Cron("0 * * * *".parse().unwrap(), TimeZone::utc());
        let every = Recurrence::Every(Interval::from_secs(3600).unwrap());
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let (early, start) = (time("2026-01-01T00:00:00Z"), time("2026-01-02T03:00:00Z"));
        assert_eq!(cron.after(early, start), Some(start));
        assert_eq!(every.after(early, start), Some(start));
        assert_eq!(cron.after(early, time("2026-01-02T03:00:00.001Z")), Some(time("2026-01-02T04:00:00Z")));
        assert_eq!(cron.after(start, start), Some(time("2026-01-02T04:00:00Z")));
        assert_eq!(
            every.after(time("2026-01-02T03:00:00.500Z"), time("2026-01-02T00:00:00.250Z")),
            Some(time("2026-01-02T04:00:00.250Z"))
        );
        assert_eq!(every.after(Timestamp::LATEST, start), None);
        assert_eq!(cron.after(Timestamp::LATEST, start), None);
    }
}
