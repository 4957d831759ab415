//! A change of a Schedule: the fields that a caller sends, and what becomes of the Schedule.

use super::{
    CatchUp, Cron, Error, ErrorKind, FunctionName, Interval, Json, OnComplete, Overlap, Priority, Recurrence, Result,
    Schedule, ScheduleName, TimeZone, Timestamp,
};

/// The fields that say how a Schedule repeats, as a caller sent them.
#[derive(Clone, Debug, Default)]
pub struct RecurrenceFields {
    /// Seconds between two occurrences.
    pub interval: Option<Interval>,
    /// A cron expression.
    pub cron: Option<Cron>,
    /// Its time zone.
    pub timezone: Option<TimeZone>,
}

impl From<Recurrence> for RecurrenceFields {
    fn from(recurrence: Recurrence) -> Self {
        match recurrence {
            Recurrence::Every(interval) => Self { interval: Some(interval), ..Self::default() },
            Recurrence::Cron(cron, zone) => Self { cron: Some(cron), timezone: Some(zone), ..Self::default() },
        }
    }
}

impl RecurrenceFields {
    /// The recurrence, given what it was before: `None` if no field was sent. 26 if the fields contradict each other.
    pub fn change(self, before: Option<&Recurrence>) -> Result<Option<Recurrence>> {
        let contradiction = |message| Err(Error::new(ErrorKind::IllegalArgument, message));
        match (self.interval, self.cron, self.timezone) {
            (Some(_), Some(_), _) => contradiction("A schedule has either 'interval' or 'cron', and not both."),
            (Some(_), None, Some(_)) | (None, None, Some(_))
                if !matches!((self.interval, before), (None, Some(Recurrence::Cron(..)))) =>
            {
                contradiction("'timezone' belongs to 'cron': an interval is the same in every time zone.")
            }
            (Some(interval), None, _) => Ok(Some(Recurrence::Every(interval))),
            (None, Some(cron), zone) => {
                let zone = zone.or_else(|| match before {
                    Some(Recurrence::Cron(_, zone)) => Some(zone.clone()),
                    Some(Recurrence::Every(_)) | None => None,
                });
                Ok(Some(Recurrence::Cron(cron, zone.unwrap_or_else(TimeZone::utc))))
            }
            (None, None, zone) => match (before, zone) {
                (Some(Recurrence::Cron(cron, _)), Some(zone)) => Ok(Some(Recurrence::Cron(cron.clone(), zone))),
                _ => Ok(None),
            },
        }
    }
}

/// A change of a Schedule. Absent fields keep their values; `Some(None)` removes one.
#[derive(Clone, Debug, Default)]
pub struct ScheduleChange {
    /// What it is called.
    pub name: Option<Option<ScheduleName>>,
    /// How it repeats.
    pub recurrence: RecurrenceFields,
    /// The Function that runs.
    pub function_name: Option<FunctionName>,
    /// The `data` that each Task gets.
    pub data: Option<Json>,
    /// The priority that each Task gets.
    pub priority: Option<Option<Priority>>,
    /// There is no occurrence before.
    pub start_timestamp: Option<Timestamp>,
    /// There is no occurrence after.
    pub end_timestamp: Option<Option<Timestamp>>,
    /// Whether it creates Tasks.
    pub enabled: Option<bool>,
    /// What happens when an occurrence comes before the end of the one before.
    pub overlap: Option<Option<Overlap>>,
    /// What happens to missed occurrences.
    pub catch_up: Option<Option<CatchUp>>,
    /// What runs once each of its Tasks is final.
    pub on_complete: Option<Option<OnComplete>>,
}

impl ScheduleChange {
    /// Pauses it, or lets it go on.
    pub fn enabled(enabled: bool) -> Self {
        Self { enabled: Some(enabled), ..Self::default() }
    }

    /// The changed Schedule; its next occurrence is still the old one. 26 if fields contradict each other.
    pub fn apply_to(self, before: &Schedule) -> Result<Schedule> {
        let mut schedule = before.clone();
        if let Some(recurrence) = self.recurrence.change(Some(&before.recurrence))? {
            schedule.recurrence = recurrence;
        }
        set(&mut schedule.name, self.name);
        set(&mut schedule.function_name, self.function_name);
        set(&mut schedule.priority, self.priority);
        set(&mut schedule.start_timestamp, self.start_timestamp);
        set(&mut schedule.end_timestamp, self.end_timestamp);
        set(&mut schedule.enabled, self.enabled);
        set(&mut schedule.overlap, self.overlap);
        set(&mut schedule.catch_up, self.catch_up);
        set(&mut schedule.on_complete, self.on_complete);
        schedule.data = self.data.or(schedule.data);
        Ok(schedule)
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

impl Schedule {
    /// Whether another one has the same occurrences.
    pub fn recurs_like(&self, other: &Self) -> bool {
        (&self.recurrence, self.start_timestamp, self.end_timestamp)
            == (&other.recurrence, other.start_timestamp, other.end_timestamp)
    }

    /// Checks that it has an occurrence from `now` on: 26 if its end comes before its start or before such an occurrence, 15 if
    /// its expression never fires in its time zone.
    pub fn check_occurs(&self, now: Timestamp) -> Result<()> {
        if self.end_timestamp.is_some_and(|end| end < self.start_timestamp) {
            let message = "'endTimestamp' is before 'startTimestamp'.";
            return Err(Error::new(ErrorKind::IllegalArgument, message));
        }
        match (self.occurrence_from(self.start_timestamp.max(now)), &self.recurrence) {
            (Some(_), _) => Ok(()),
            (None, Recurrence::Cron(..)) if self.end_timestamp.is_none() => {
                Err(Error::field_format("cron", "never fires in this time zone from the start on"))
            }
            (None, _) => {
                let message = "The schedule has no occurrence to come before its 'endTimestamp'.";
                Err(Error::new(ErrorKind::IllegalArgument, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(interval: Option<i64>, cron: Option<&str>, zone: Option<&str>) -> RecurrenceFields {
        RecurrenceFields {
            interval: interval.map(|secs| Interval::from_secs(secs).unwrap()),
            cron: cron.map(|cron| cron.parse().unwrap()),
            timezone: zone.map(|zone| zone.parse().unwrap()),
        }
    }

    #[test]
    fn fields_that_contradict_each_other_are_refused() {
        let every = Recurrence::Every(Interval::from_secs(5).unwrap());
        let hourly = Recurrence::Cron("0 * * * *".parse().unwrap(), TimeZone::utc());
        for (fields, before) in [
            (fields(Some(1), Some("0 * * * *"), None), None),
            (fields(Some(1), None, Some("UTC")), None),
            (fields(Some(1), None, Some("UTC")), Some(&hourly)),
            (fields(None, None, Some("UTC")), Some(&every)),
            (fields(None, None, Some("UTC")), None),
        ] {
            assert_eq!(fields.clone().change(before).unwrap_err().kind(), ErrorKind::IllegalArgument, "{fields:?}");
        }
    }

    #[test]
    fn absent_fields_keep_what_was_there() {
        let hourly = |zone: &str| Recurrence::Cron("0 * * * *".parse().unwrap(), zone.parse().unwrap());
        let before = hourly("Europe/Berlin");
        let every = Recurrence::Every(Interval::from_secs(5).unwrap());
        for (fields, before, after) in [
            (fields(None, None, None), Some(&before), None),
            (fields(None, None, Some("Asia/Tokyo")), Some(&before), Some(hourly("Asia/Tokyo"))),
            (fields(None, Some("0 * * * *"), None), Some(&before), Some(before.clone())),
            (fields(None, Some("0 * * * *"), None), Some(&every), Some(hourly("UTC"))),
            (fields(Some(5), None, None), Some(&before), Some(every.clone())),
        ] {
            assert_eq!(fields.change(before).unwrap(), after);
        }
    }
}
