//! Debounced creations: many in a row become one Task (contract §11).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DebounceSeconds, Json, MostDebounceSeconds, Task, Timestamp, text::chosen_key};

chosen_key! {
    /// What the creations have in common that become one Task of a Function: 1 to 255 characters.
    DebounceKey, InvalidDebounceKey, "What the creations have in common that become one Task of a Function.",
    example = "customer-4711"
}

/// How creations with the same key become one Task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Debounce {
    /// Unique within the Function.
    pub key: DebounceKey,
    /// How long the Task waits after the last creation.
    pub seconds: DebounceSeconds,
    /// How long it waits after the first creation at most. Default: ten times `seconds`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_seconds: Option<MostDebounceSeconds>,
    /// What a later creation does with the data. Default: `replace`.
    #[serde(skip_serializing_if = "DebounceMode::is_default", default)]
    #[schema(required = false)]
    pub mode: DebounceMode,
}

/// What a later creation does with the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DebounceMode {
    /// It replaces the data.
    #[default]
    Replace,
    /// It adds its data to an array.
    Append,
}

impl DebounceMode {
    /// Every mode with its name.
    pub const NAMES: [(&'static str, Self); 2] = [("replace", Self::Replace), ("append", Self::Append)];

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Debounce {
    /// When a Task starts whose last creation is at `now` and whose first one was at `first`.
    pub fn start(&self, first: Timestamp, now: Timestamp) -> Timestamp {
        let latest = first.saturating_add(self.most());
        now.saturating_add(Duration::from_secs(u64::from(self.seconds.get()))).min(latest)
    }

    /// How long the Task waits after the first creation at most.
    pub fn most(&self) -> Duration {
        let default = u64::from(self.seconds.get()) * 10;
        Duration::from_secs(self.max_seconds.map_or(default, |most| u64::from(most.get())))
    }

    /// Whether `maxSeconds` is less than `seconds`.
    pub fn is_contradiction(&self) -> bool {
        self.max_seconds.is_some_and(|most| most.get() < self.seconds.get())
    }

    /// The data of the first creation as the Task has it.
    pub fn first_data(&self, data: Option<Json>) -> Result<Option<Json>, serde_json::Error> {
        match self.mode {
            DebounceMode::Replace => Ok(data),
            DebounceMode::Append => Json::of(&Vec::from_iter(data)).map(Some),
        }
    }

    /// The data of a Task after another creation with `data`. Each number stays as it was written.
    pub fn next_data(&self, task: &Task, data: Option<Json>) -> Result<Option<Json>, serde_json::Error> {
        if self.mode == DebounceMode::Replace {
            return Ok(data);
        }
        let mut elements = match &task.data {
            None => Vec::new(),
            // An earlier creation may have replaced the data by what is no array.
            Some(before) => serde_json::from_str(before.as_str()).unwrap_or_else(|_| vec![before.clone()]),
        };
        elements.extend(data);
        Json::of(&elements).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FunctionName, ObjectId};

    fn debounce(max_seconds: Option<i64>, mode: DebounceMode) -> Debounce {
        Debounce {
            key: DebounceKey::parse("k").unwrap(),
            seconds: DebounceSeconds::new(5).unwrap(),
            max_seconds: max_seconds.map(|most| MostDebounceSeconds::new(most).unwrap()),
            mode,
        }
    }

    fn json(text: &str) -> Json {
        Json::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn the_start_moves_with_each_creation_but_not_past_the_most() {
        let at = |seconds: i64| Timestamp::saturating_from_millis(seconds * 1000);
        for (most, now, start) in [(None, 0, 5), (None, 44, 49), (None, 49, 50), (Some(7), 0, 5), (Some(7), 4, 7)] {
            assert_eq!(debounce(most, DebounceMode::Replace).start(at(0), at(now)), at(start), "{most:?} {now}");
        }
        assert!(debounce(Some(4), DebounceMode::Replace).is_contradiction());
        assert!(!debounce(Some(5), DebounceMode::Replace).is_contradiction());
    }

    #[test]
    fn appending_always_gives_an_array_and_keeps_each_digit() {
        let append = debounce(None, DebounceMode::Append);
        assert_eq!(append.first_data(Some(json("1.50"))).unwrap().unwrap().as_str(), "[1.50]");
        assert_eq!(append.first_data(None).unwrap().unwrap().as_str(), "[]");
        let after = |before: Option<&str>, data: Option<&str>| {
            let task = Task::new(ObjectId::LAST, FunctionName::parse("f").unwrap(), Timestamp::EPOCH);
            let task = Task { data: before.map(json), ..task };
            append.next_data(&task, data.map(json)).unwrap().unwrap().as_str().to_owned()
        };
        assert_eq!(after(Some("[1.50]"), Some(r#"{"a": 1e2}"#)), r#"[1.50,{"a": 1e2}]"#);
        assert_eq!(after(Some(" [ ] "), Some("[2]")), "[[2]]");
        assert_eq!(after(Some("[9007199254740993, 1.0]"), Some("1E3")), "[9007199254740993,1.0,1E3]");
        assert_eq!(after(Some("[1]"), None), "[1]");
        // An earlier creation replaced the data.
        assert_eq!(after(Some(r#"{"a":1}"#), Some("2")), r#"[{"a":1},2]"#);
        assert_eq!(after(None, Some("null")), "[null]");
    }
}
