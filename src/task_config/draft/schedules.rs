//! The property `schedules`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use tasklane_model::{
    CatchUp, Cron, Interval, Json, OnComplete, Overlap, Priority, Recurrence, RecurrenceFields, ScheduleName, TimeZone,
    Timestamp,
};

use super::{Check, Problem};
use crate::ConfiguredSchedule;

pub(in super::super) const PROPERTIES: &[&str] = &[
    "name",
    "interval",
    "cron",
    "timezone",
    "data",
    "priority",
    "onComplete",
    "overlap",
    "catchUp",
    "startTimestamp",
    "endTimestamp",
];

/// How many a file may have. Each is compared one by one.
pub(in super::super) const MOST: usize = 100;

/// The `data` of a file's Schedules, as it is written: as a value, its numbers would lose digits.
#[derive(Debug, Default, Deserialize)]
pub(super) struct WrittenData {
    #[serde(default)]
    schedules: Vec<WithData>,
}

#[derive(Debug, Deserialize)]
struct WithData {
    // A `null` is data, too.
    #[serde(default, deserialize_with = "some")]
    data: Option<Box<RawValue>>,
}

fn some<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

impl WrittenData {
    /// What the file's text has of it; nothing if its `schedules` have another shape, which is refused elsewhere.
    pub(super) fn of(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    fn at(&self, index: usize) -> Option<&str> {
        self.schedules.get(index)?.data.as_deref().map(RawValue::get)
    }
}

impl Check {
    /// `null` and an empty list mean that there are none.
    pub(super) fn schedules(&mut self, value: &Value, data: &WrittenData) -> Option<Vec<ConfiguredSchedule>> {
        const PROPERTY: &str = "schedules";
        if value.is_null() {
            return Some(Vec::new());
        }
        let Some(entries) = value.as_array() else { return self.refuse(PROPERTY, "must be a list") };
        if entries.len() > MOST {
            return self.refuse(PROPERTY, format!("must have at most {MOST} entries"));
        }
        let before = self.problems.len();
        let schedules: Vec<_> = entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| self.schedule(&format!("{PROPERTY}[{index}]"), entry, data.at(index)))
            .collect();
        let mut names = BTreeSet::new();
        for (index, schedule) in schedules.iter().enumerate() {
            if self.problems.len() == before && !names.insert(&schedule.name) {
                return self.refuse(&format!("{PROPERTY}[{index}].name"), "is the name of another one, too");
            }
        }
        (self.problems.len() == before).then_some(schedules)
    }

    fn schedule(&mut self, place: &str, value: &Value, data: Option<&str>) -> Option<ConfiguredSchedule> {
        let properties = self.object(place, value)?;
        let at = |name: &str| format!("{place}.{name}");
        self.names(&at(""), properties, PROPERTIES);
        let before = self.problems.len();
        let name = match properties.get("name") {
            Some(value) => self.parsed(&at("name"), value, |text| ScheduleName::parse(text)),
            None => {
                self.problems.push(Problem::Missing { property: at("name") });
                None
            }
        };
        let recurrence = self.recurrence(place, properties);
        let data = data.and_then(|data| self.data(&at("data"), data, &properties["data"]));
        let priority = self
            .unless_null(properties, "priority", |check, value| check.number(&at("priority"), value, Priority::new));
        let overlap =
            self.unless_null(properties, "overlap", |check, value| check.one_of(&at("overlap"), value, Overlap::NAMES));
        let catch_up =
            self.unless_null(properties, "catchUp", |check, value| check.one_of(&at("catchUp"), value, CatchUp::NAMES));
        let start_timestamp = self.unless_null(properties, "startTimestamp", |check, value| {
            check.parsed(&at("startTimestamp"), value, str::parse::<Timestamp>)
        });
        let end_timestamp = self.unless_null(properties, "endTimestamp", |check, value| {
            check.parsed(&at("endTimestamp"), value, str::parse::<Timestamp>)
        });
        let on_complete = self.unless_null(properties, "onComplete", |check, value| {
            let rule = "must be an object with 'functionName' and, if wanted, 'data'";
            OnComplete::deserialize(value).ok().or_else(|| check.refuse(&at("onComplete"), rule))
        });
        if self.problems.len() > before {
            return None;
        }
        Some(ConfiguredSchedule {
            name: name?,
            recurrence: recurrence?,
            data,
            priority,
            overlap,
            catch_up,
            start_timestamp,
            end_timestamp,
            on_complete,
        })
    }

    fn recurrence(&mut self, place: &str, properties: &Map<String, Value>) -> Option<Recurrence> {
        let at = |name: &str| format!("{place}.{name}");
        let before = self.problems.len();
        let interval = self.unless_null(properties, "interval", |check, value| {
            check.number(&at("interval"), value, Interval::from_secs)
        });
        let cron =
            self.unless_null(properties, "cron", |check, value| check.parsed(&at("cron"), value, str::parse::<Cron>));
        let timezone = self.unless_null(properties, "timezone", |check, value| {
            check.parsed(&at("timezone"), value, str::parse::<TimeZone>)
        });
        if self.problems.len() > before {
            return None;
        }
        match (RecurrenceFields { interval, cron, timezone }).change(None) {
            Ok(Some(recurrence)) => Some(recurrence),
            Ok(None) => self.refuse(place, "needs 'interval' or 'cron'"),
            Err(error) => self.refuse(place, format!("contradicts itself: {}", error.message())),
        }
    }

    fn unless_null<T>(
        &mut self,
        properties: &Map<String, Value>,
        name: &str,
        read: impl FnOnce(&mut Self, &Value) -> Option<T>,
    ) -> Option<T> {
        properties.get(name).filter(|value| !value.is_null()).and_then(|value| read(self, value))
    }

    /// Exactly as it is written, unless it names variables, whose values only strings can have.
    fn data(&mut self, property: &str, written: &str, substituted: &Value) -> Option<Json> {
        let names_variables = self.from_variables.iter().any(|from| {
            from.strip_prefix(property).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        let text = if names_variables { substituted.to_string() } else { written.to_owned() };
        Json::parse(text).map_or_else(|_| self.refuse(property, "must be JSON"), Some)
    }
}
