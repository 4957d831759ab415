//! Schedules: a Task at each occurrence (contract §3, §15).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ApplicationId, FunctionName, Json, ObjectId, OnComplete, Priority, Recurrence, Timestamp, UserId, json::even_null,
    occurrences::WrittenRecurrence, text::checked_text,
};

/// How many occurrences wait at most for the end of the one before, and how many are made up for at most.
pub const MOST_OCCURRENCES: usize = 100;

/// Creates a Task of its Function at each occurrence: every `interval` seconds, starting at `startTimestamp` and without
/// drift, or when the clocks of a time zone show what `cron` names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", try_from = "WrittenSchedule")]
pub struct Schedule {
    /// Its id.
    pub id: ObjectId,
    /// What it is called. Several Schedules may have the same name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<ScheduleName>,
    /// How it repeats.
    #[serde(flatten)]
    #[schema(value_type = WrittenRecurrence)]
    pub recurrence: Recurrence,
    /// The Function that runs.
    pub function_name: FunctionName,
    /// The `data` that each Task gets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    // Not `nullable`: any JSON includes null already.
    #[schema(value_type = Json, required = false)]
    pub data: Option<Json>,
    /// The priority that each Task gets; the Function's default at that time if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<Priority>,
    /// There is no occurrence before. With an interval it is the first one, and every later one follows a whole number of
    /// intervals after it.
    pub start_timestamp: Timestamp,
    /// There is no occurrence after.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end_timestamp: Option<Timestamp>,
    /// The next occurrence; absent while it is paused, and after the last one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_timestamp: Option<Timestamp>,
    /// Whether it creates Tasks; `false` while it is paused, absent otherwise.
    #[serde(skip_serializing_if = "is_yes", default = "yes")]
    #[schema(required = false)]
    pub enabled: bool,
    /// What happens when an occurrence comes before the end of the one before. Default: `allow`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub overlap: Option<Overlap>,
    /// What happens to occurrences that were missed while nothing ran. Default: `latest`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub catch_up: Option<CatchUp>,
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
    /// What keeps it up to date; absent if callers do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub managed_by: Option<ManagedBy>,
}

/// A Schedule as it is written. Flattening would make serde buffer every field in a form that rejects some JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenSchedule {
    id: ObjectId,
    name: Option<ScheduleName>,
    interval: Option<super::Interval>,
    cron: Option<super::Cron>,
    timezone: Option<super::TimeZone>,
    function_name: FunctionName,
    #[serde(default, deserialize_with = "even_null")]
    data: Option<Json>,
    priority: Option<Priority>,
    start_timestamp: Timestamp,
    end_timestamp: Option<Timestamp>,
    next_timestamp: Option<Timestamp>,
    #[serde(default = "yes")]
    enabled: bool,
    overlap: Option<Overlap>,
    catch_up: Option<CatchUp>,
    creation_timestamp: Timestamp,
    update_timestamp: Timestamp,
    created_by_user_id: Option<UserId>,
    created_by_application_id: Option<ApplicationId>,
    on_complete: Option<OnComplete>,
    managed_by: Option<ManagedBy>,
}

fn yes() -> bool {
    true
}

fn is_yes(enabled: &bool) -> bool {
    *enabled
}

impl TryFrom<WrittenSchedule> for Schedule {
    type Error = super::occurrences::NoRecurrence;

    fn try_from(written: WrittenSchedule) -> Result<Self, Self::Error> {
        let WrittenSchedule { interval, cron, timezone, .. } = written;
        Ok(Self {
            id: written.id,
            name: written.name,
            recurrence: WrittenRecurrence { interval, cron, timezone }.try_into()?,
            function_name: written.function_name,
            data: written.data,
            priority: written.priority,
            start_timestamp: written.start_timestamp,
            end_timestamp: written.end_timestamp,
            next_timestamp: written.next_timestamp,
            enabled: written.enabled,
            overlap: written.overlap,
            catch_up: written.catch_up,
            creation_timestamp: written.creation_timestamp,
            update_timestamp: written.update_timestamp,
            created_by_user_id: written.created_by_user_id,
            created_by_application_id: written.created_by_application_id,
            on_complete: written.on_complete,
            managed_by: written.managed_by,
        })
    }
}

/// What happens when an occurrence comes while the Task of the one before, or one of its retries, has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Overlap {
    /// Its Task is created nevertheless.
    #[default]
    Allow,
    /// It has no Task.
    Skip,
    /// Its Task is created when the one before has ended; at most 100 wait.
    Queue,
}

/// What happens to occurrences that were missed while nothing ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum CatchUp {
    /// They have no Tasks.
    None,
    /// The latest of them has a Task.
    #[default]
    Latest,
    /// Each of the latest 100 has a Task.
    All,
}

/// What keeps a Schedule up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ManagedBy {
    /// `tasklane sync` made it from a task-config.json.
    Sync,
}

macro_rules! names {
    ($type:ident { $($variant:ident = $name:literal),+ }) => {
        impl $type {
            /// Every value with its name.
            pub const NAMES: &[(&'static str, Self)] = &[$(($name, Self::$variant)),+];
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $name),+
                })
            }
        }
    };
}

names!(Overlap { Allow = "allow", Skip = "skip", Queue = "queue" });
names!(CatchUp { None = "none", Latest = "latest", All = "all" });
names!(ManagedBy { Sync = "sync" });

/// What a Schedule is called: 1–128 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 128)]
pub struct ScheduleName(String);

/// The string is not a [`ScheduleName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 characters, none of them a control character")]
pub struct InvalidScheduleName;

impl ScheduleName {
    /// Checks a name.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidScheduleName> {
        let text = text.into();
        let fits = (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(InvalidScheduleName) }
    }
}

checked_text!(ScheduleName, InvalidScheduleName);

impl Schedule {
    /// The first occurrence after this moment; `None` if there is none any more.
    pub fn occurrence_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let next = self.recurrence.after(moment, self.start_timestamp)?;
        self.end_timestamp.is_none_or(|end| next <= end).then_some(next)
    }

    /// The first occurrence at this moment or after it.
    pub fn occurrence_from(&self, moment: Timestamp) -> Option<Timestamp> {
        match moment.as_millis().checked_sub(1).and_then(|before| Timestamp::from_millis(before).ok()) {
            Some(before) => self.occurrence_after(before),
            None => self.occurrence_after(moment),
        }
    }

    /// Its occurrences after this moment.
    pub fn occurrences_after(&self, moment: Timestamp) -> impl Iterator<Item = Timestamp> {
        let mut at = Some(moment);
        std::iter::from_fn(move || {
            at = self.occurrence_after(at?);
            at
        })
    }

    /// Its occurrences from this moment on, as if it had neither start nor end. Those of an interval lie a whole number of
    /// intervals from its start, before and after.
    pub fn occurrences_ever_from(&self, moment: Timestamp) -> impl Iterator<Item = Timestamp> {
        let start = self.recurrence.same_start_before(moment, self.start_timestamp);
        let mut at = Some(Timestamp::saturating_from_millis(moment.as_millis().saturating_sub(1)));
        std::iter::from_fn(move || {
            at = self.recurrence.after(at?, start);
            at
        })
    }

    /// The first of the last `count` occurrences from `first` on, which is one, and before `end`. `first` if there are
    /// fewer.
    pub fn first_of_last(&self, count: usize, first: Timestamp, end: Timestamp) -> Timestamp {
        // Nobody knows how many occurrences of an expression lie in a long time, so look at ever more of its end.
        let mut window: u64 = 64;
        loop {
            let from = end.saturating_sub(std::time::Duration::from_secs(window)).max(first);
            let mut last = VecDeque::with_capacity(count);
            let mut next = self.occurrence_from(from);
            while let Some(at) = next.filter(|at| *at < end) {
                if last.len() == count {
                    last.pop_front();
                }
                last.push_back(at);
                next = self.occurrence_after(at);
            }
            match last.front() {
                Some(found) if last.len() == count => return *found,
                Some(found) if from == first => return *found,
                None if from == first => return first,
                Some(_) | None => window = window.saturating_mul(2),
            }
        }
    }
}

/// A Schedule to be created.
#[derive(Clone, Debug)]
pub struct NewSchedule {
    /// What it is called.
    pub name: Option<ScheduleName>,
    /// How it repeats.
    pub recurrence: Recurrence,
    /// The Function that runs; it must exist.
    pub function_name: FunctionName,
    /// The `data` that each Task gets.
    pub data: Option<Json>,
    /// The priority that each Task gets.
    pub priority: Option<Priority>,
    /// There is no occurrence before; now by default.
    pub start_timestamp: Option<Timestamp>,
    /// There is no occurrence after.
    pub end_timestamp: Option<Timestamp>,
    /// Whether it creates Tasks from the first.
    pub enabled: bool,
    /// What happens when an occurrence comes before the end of the one before.
    pub overlap: Option<Overlap>,
    /// What happens to missed occurrences.
    pub catch_up: Option<CatchUp>,
    /// What runs once each of its Tasks is final.
    pub on_complete: Option<OnComplete>,
    /// What keeps it up to date.
    pub managed_by: Option<ManagedBy>,
}

impl NewSchedule {
    /// A Schedule of this Function that repeats like this, with every default.
    pub fn of(function_name: FunctionName, recurrence: Recurrence) -> Self {
        Self {
            name: None,
            recurrence,
            function_name,
            data: None,
            priority: None,
            start_timestamp: None,
            end_timestamp: None,
            enabled: true,
            overlap: None,
            catch_up: None,
            on_complete: None,
            managed_by: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interval;

    fn time(millis: i64) -> Timestamp {
        Timestamp::saturating_from_millis(millis)
    }

    fn schedule(recurrence: Recurrence) -> Schedule {
        Schedule {
            id: ObjectId::first_at(time(0)),
            name: None,
            recurrence,
            function_name: FunctionName::parse("hello").unwrap(),
            data: None,
            priority: None,
            start_timestamp: time(500),
            end_timestamp: None,
            next_timestamp: Some(time(500)),
            enabled: true,
            overlap: None,
            catch_up: None,
            creation_timestamp: time(0),
            update_timestamp: time(0),
            created_by_user_id: None,
            created_by_application_id: None,
            on_complete: None,
            managed_by: None,
        }
    }

    #[test]
    fn the_last_occurrences_before_a_moment_are_found_however_long_ago_the_first_was() {
        let every = schedule(Recurrence::Every(Interval::from_secs(2).unwrap()));
        let first = |count, from, end| every.first_of_last(count, time(from), time(end)).as_millis();
        assert_eq!(first(1, 500, 501), 500);
        assert_eq!(first(1, 500, 60_000), 58_500);
        assert_eq!(first(1, 500, 58_500), 56_500, "the end does not belong to it");
        assert_eq!(first(3, 500, 60_000), 54_500);
        assert_eq!(first(100, 2500, 60_000), 2500, "there are fewer");
        assert_eq!(first(100, 500, 1_000_000_000), 1_000_000_000 - 1500 - 99 * 2000);
        let yearly = schedule(Recurrence::Cron("0 0 1 1 *".parse().unwrap(), "UTC".parse().unwrap()));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(yearly.first_of_last(1, at("1971-01-01"), at("2026-06-01")), at("2026-01-01"));
        assert_eq!(yearly.first_of_last(100, at("1971-01-01"), at("2026-06-01")), at("1971-01-01"));
    }

    #[test]
    fn occurrences_before_the_start_lie_on_the_same_grid() {
        let mut every = schedule(Recurrence::Every(Interval::from_secs(2).unwrap()));
        (every.start_timestamp, every.end_timestamp) = (time(100_500), Some(time(102_500)));
        let ever = |from| every.occurrences_ever_from(time(from)).take(2).map(Timestamp::as_millis).collect::<Vec<_>>();
        assert_eq!(ever(0), [500, 2500]);
        assert_eq!(ever(2500), [2500, 4500]);
        assert_eq!(ever(2501), [4500, 6500]);
        assert_eq!(ever(100_500), [100_500, 102_500]);
        assert_eq!(ever(104_000), [104_500, 106_500]);
        let mut daily = schedule(Recurrence::Cron("@daily".parse().unwrap(), "UTC".parse().unwrap()));
        daily.start_timestamp = time(1_000_000_000_000);
        assert_eq!(daily.occurrences_ever_from(time(86_400_000)).next(), Some(time(86_400_000)));
    }

    #[test]
    fn there_is_no_occurrence_after_the_end() {
        let mut every = schedule(Recurrence::Every(Interval::from_secs(2).unwrap()));
        every.end_timestamp = Some(time(4500));
        let all: Vec<_> = every.occurrences_after(time(0)).map(Timestamp::as_millis).collect();
        assert_eq!(all, [500, 2500, 4500]);
        assert_eq!(every.occurrence_from(time(4500)), Some(time(4500)));
        assert_eq!(every.occurrence_from(time(4501)), None);
    }

    #[test]
    fn a_schedule_is_read_back_as_it_is_written() {
        for recurrence in [
            Recurrence::Every(Interval::from_secs(2).unwrap()),
            Recurrence::Cron("0 8 * * MON".parse().unwrap(), "Europe/Berlin".parse().unwrap()),
        ] {
            let written = Schedule { data: Some(Json::parse("1e400".to_owned()).unwrap()), ..schedule(recurrence) };
            let json = serde_json::to_string(&written).unwrap();
            assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), written, "{json}");
        }
        let both = r#"{"interval":1,"cron":"0 0 * * *"}"#;
        assert!(Recurrence::try_from(serde_json::from_str::<WrittenRecurrence>(both).unwrap()).is_err());
    }
}
