//! Flow by key: how many Tasks with the same key run at once, how many start in a while, and whose turn it is (contract §14).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    FlowConcurrency, Json, RateCount, RateSeconds, Task, Timestamp,
    json::{Node, number::Number},
    text::checked_text,
};

/// How the Tasks of a Function that have the same key share it. Keys take turns even if neither limit is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// Where the key of a Task is, unless the Task has a `flowKey`.
    pub key: FlowPath,
    /// How many queued runs with one key may be in progress at once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub concurrent: Option<FlowConcurrency>,
    /// How many queued runs with one key may start in a while.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rate: Option<FlowRate>,
}

/// How many runs with one key may start in any window of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowRate {
    /// How many.
    pub count: RateCount,
    /// The length of the window.
    pub seconds: RateSeconds,
}

impl FlowRate {
    /// The length of the window.
    pub fn window(self) -> Duration {
        Duration::from_secs(u64::from(self.seconds.get()))
    }
}

impl Flow {
    /// The key of a Task: its own, or the one in its data. `None` if it has none, or one that is too long.
    pub fn key_of(&self, task: &Task) -> Option<FlowKey> {
        task.options.flow_key.clone().or_else(|| self.key.find_in(task.data.as_ref()?))
    }
}

/// How far [`FlowKeyState::waiting`] counts.
pub const MOST_WAITING: u64 = 1000;

/// How much of a key runs and waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowKeyState {
    /// The key.
    pub key: FlowKey,
    /// How many queued runs are in progress.
    pub running: u64,
    /// How many due Tasks wait for their turn. Counted up to 1,000.
    pub waiting: u64,
    /// When the rate allows the next start, if it does not now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_timestamp: Option<Timestamp>,
}

/// A path to a value in a Task's data: `data`, or `data` and the names of fields, separated by dots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(description = "Where the key is in a Task's data.", value_type = String, min_length = 4, max_length = 255, example = "data.tenantId")]
pub struct FlowPath(String);

/// The string is not a valid [`FlowPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a path into the data of a task, such as data.tenantId, of at most 255 characters")]
pub struct InvalidFlowPath;

impl FlowPath {
    /// Checks a path by this rule.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidFlowPath> {
        let text = text.into();
        let mut names = text.split('.');
        let is_path = names.next() == Some("data") && names.all(|name| !name.is_empty());
        if is_path && text.chars().count() <= 255 { Ok(Self(text)) } else { Err(InvalidFlowPath) }
    }

    fn find_in(&self, data: &Json) -> Option<FlowKey> {
        let mut names = self.0.split('.').skip(1);
        let Some(first) = names.next() else { return FlowKey::of(&data.node()) };
        // The data may be large, and one field of it is enough.
        let fields = data.node_of(|name| name == first);
        FlowKey::of(names.try_fold(fields.get(first)?, |value, name| value.get(name))?)
    }
}

checked_text!(FlowPath, InvalidFlowPath);

/// What the Tasks of a Function have in common that take turns and share limits: 1 to 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(description = "What the Tasks of a Function have in common that take turns and share limits.", value_type = String, min_length = 1, max_length = 255, example = "tenant-17")]
pub struct FlowKey(String);

/// The value is not a valid [`FlowKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a string of 1 to 255 bytes, a number, or true or false")]
pub struct InvalidFlowKey;

impl FlowKey {
    /// Checks a key by this rule.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidFlowKey> {
        let text = text.into();
        if (1..=255).contains(&text.len()) { Ok(Self(text)) } else { Err(InvalidFlowKey) }
    }

    /// The key that a value is: a string, a number, `true` or `false`, as text. `None` for other values and for those that are
    /// too long. 5, 5.0 and "5" are the same key.
    pub fn of(value: &Node<'_>) -> Option<Self> {
        let text = match value {
            Node::String(text) => text.clone().into_owned(),
            Node::Bool(flag) => flag.to_string(),
            Node::Number(number) => Number::parse(number)
                .and_then(|number| number.to_i64())
                .map_or_else(|| (*number).to_owned(), |whole| whole.to_string()),
            Node::Null | Node::Array(_) | Node::Object(_) => return None,
        };
        Self::parse(text).ok()
    }
}

checked_text!(FlowKey, InvalidFlowKey);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FunctionName, ObjectId, TaskOptions};

    fn flow(path: &str) -> Flow {
        Flow { key: FlowPath::parse(path).unwrap(), concurrent: None, rate: None }
    }

    fn key(path: &str, data: Option<&str>, own: Option<&str>) -> Option<String> {
        let task = Task::new(ObjectId::LAST, FunctionName::parse("f").unwrap(), Timestamp::EPOCH);
        let options = TaskOptions { flow_key: own.map(|key| FlowKey::parse(key).unwrap()), ..TaskOptions::default() };
        let data = data.map(|data| Json::parse(data.to_owned()).unwrap());
        flow(path).key_of(&Task { data, options, ..task }).map(String::from)
    }

    #[test]
    fn a_key_is_a_scalar_at_its_path() {
        let found = |path: &str, data: &str| key(path, Some(data), None);
        assert_eq!(found("data.tenantId", r#"{"x":{"tenantId":"no"},"tenantId":"a"}"#).as_deref(), Some("a"));
        assert_eq!(found("data.a.b", r#"{"a":{"b":true}}"#).as_deref(), Some("true"));
        assert_eq!(found("data", r#""whole""#).as_deref(), Some("whole"));
        for five in ["5", "5.0", "50e-1", r#""5""#] {
            assert_eq!(found("data.n", &format!(r#"{{"n":{five}}}"#)).as_deref(), Some("5"), "{five}");
        }
        assert_eq!(found("data.n", r#"{"n":123456789012345678901234567890}"#).unwrap().len(), 30);
        assert_eq!(found("data.n", r#"{"n":0.10}"#).as_deref(), Some("0.10"));
    }

    #[test]
    fn what_is_no_scalar_or_too_long_is_no_key() {
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(256));
        for data in [r#"{"a":null}"#, r#"{"a":[1]}"#, r#"{"a":{}}"#, "{}", "[1]", "7", r#"{"a":""}"#, &long] {
            assert_eq!(key("data.a", Some(data), None), None, "{data}");
        }
        assert_eq!(key("data.a", None, None), None);
        assert_eq!(key("data.a.b", Some(r#"{"a":1}"#), None), None);
        assert_eq!(key("data.a", Some(r#"{"a":"data"}"#), Some("own")).as_deref(), Some("own"));
    }

    #[test]
    fn a_path_begins_with_data() {
        for right in ["data", "data.a", "data.ä b.0"] {
            assert!(FlowPath::parse(right).is_ok(), "{right}");
        }
        for wrong in ["", "a", "data.", "data..a", ".data", "Data.a", "datax", &format!("data.{}", "x".repeat(251))] {
            assert_eq!(FlowPath::parse(wrong), Err(InvalidFlowPath), "{wrong}");
        }
    }
}
