//! JSON that is passed through untouched.

mod node;
pub mod number;
mod returned;
pub mod scan;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

pub use node::Node;

/// Any JSON text, kept as it was written: a Task's `data` and a Function's result belong to the user, so their
/// numbers, key order and escapes are not ours to change.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(description = "Any JSON, kept exactly as it was written.", value_type = serde_json::Value)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Takes JSON text, refusing what does not parse.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The JSON of a value of ours.
    pub fn of<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// Takes what a Function returned. That may be a little less than JSON: Python writes `NaN` and infinities as such,
    /// which are `null` here, as they are where JavaScript writes them; nothing at all is `null` too.
    pub fn returned(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let text = String::from_utf8_lossy(bytes);
        if text.trim_ascii().is_empty() {
            return Ok(Self::null());
        }
        Self::parse(text.clone().into_owned())
            .or_else(|error| Self::parse(returned::without_special_numbers(&text)).map_err(|_| error))
    }

    /// The text of an object's field, as it was written; the last of several.
    pub fn field(&self, name: &str) -> Option<&str> {
        scan::fields(self.as_str()).filter(|(own, _)| scan::unescape(own) == name).last().map(|(_, value)| value)
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        self.as_str().starts_with('{')
    }

    /// `null`.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// What it holds, to be looked into.
    pub fn node(&self) -> Node<'_> {
        Node::of(self.as_str())
    }

    /// The object that it is, with only those of its fields whose names are wanted; what is no object is null.
    pub fn node_of(&self, wanted: impl Fn(&str) -> bool) -> Node<'_> {
        Node::of_fields(self.as_str(), wanted)
    }

    /// The same as a [`Value`]. What none can hold is lost in it: digits of numbers, and halves of surrogate pairs.
    pub fn to_value(&self) -> Value {
        self.node().to_value()
    }
}

/// Reads a field that may hold `null`, which is a value as any other: for `deserialize_with`, where serde itself takes
/// `null` for absent.
pub fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Reads a double as it was written: `serde_json` may take its neighbour.
pub fn exact_f64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Json::deserialize(deserializer)?.as_str().parse().map_err(serde::de::Error::custom)
}

impl From<Json> for Box<RawValue> {
    fn from(json: Json) -> Self {
        json.0
    }
}

impl From<&RawValue> for Json {
    fn from(value: &RawValue) -> Self {
        Self(value.to_owned())
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        // A `Value` always prints as JSON, and what was printed as JSON always parses.
        Self(RawValue::from_string(value.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_returned_is_json_where_it_can_be() {
        for (bytes, json) in [
            (&b" {\"a\" : 1.50}\n"[..], "{\"a\" : 1.50}"),
            (b"", "null"),
            (b" \n", "null"),
            (b"\"\\ud83d\"", "\"\\ud83d\""),
            (
                b"{\"mean\": NaN, \"NaN\": [Infinity, -Infinity, \"NaN \\\" -Infinity\"]}",
                "{\"mean\": null, \"NaN\": [null, null, \"NaN \\\" -Infinity\"]}",
            ),
            (b"NaN", "null"),
        ] {
            assert_eq!(Json::returned(bytes).unwrap().as_str(), json);
        }
        assert_eq!(Json::returned(b"\"a\xed\"").unwrap().as_str(), "\"a\u{FFFD}\"");
        for bytes in [&b"{"[..], b"hello", b"NaNa", b"[NaN", b"-NaN"] {
            Json::returned(bytes).unwrap_err();
        }
    }

    #[test]
    fn the_last_of_several_fields_of_a_name_counts() {
        let json = Json::parse(r#"{"a":1,"b":[1.0],"\u0061":1.50}"#.to_owned()).unwrap();
        assert_eq!((json.field("a"), json.field("b"), json.field("c")), (Some("1.50"), Some("[1.0]"), None));
    }
}
