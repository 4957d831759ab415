//! JSON that passes through unchanged.

mod canonical;
mod node;
pub mod number;
mod returned;
pub mod scan;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

pub use canonical::digest_of_object;
pub use node::Node;

/// Any JSON, kept as it was written: a Task's `data` and a Function's result belong to the user, so the service changes no
/// number, key order or escape.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(description = "Any JSON, kept exactly as it was written.", value_type = serde_json::Value)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Parses JSON.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// The JSON as it was written.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Serialises a value.
    pub fn of<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// Parses the result of a Function. It may not quite be JSON: `NaN` and infinities, which Python writes literally,
    /// become `null`, as JavaScript writes them; an empty result is `null` too.
    pub fn returned(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let text = String::from_utf8_lossy(bytes);
        if text.trim_ascii().is_empty() {
            return Ok(Self::null());
        }
        Self::parse(text.clone().into_owned())
            .or_else(|error| Self::parse(returned::without_special_numbers(&text)).map_err(|_| error))
    }

    /// The value of an object's field, as it was written; the last one of several with the same name.
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

    /// The parsed tree.
    pub fn node(&self) -> Node<'_> {
        Node::of(self.as_str())
    }

    /// The parsed object with only the wanted fields; null if it is not an object.
    pub fn node_of(&self, wanted: impl Fn(&str) -> bool) -> Node<'_> {
        Node::of_fields(self.as_str(), wanted)
    }

    /// Converts it to a [`Value`], which loses digits of some numbers and lone surrogates.
    pub fn to_value(&self) -> Value {
        self.node().to_value()
    }
}

/// Reads a field for which `null` is a value like any other. For `deserialize_with`, because serde itself treats `null`
/// as absent.
pub fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Reads a double exactly; `serde_json` may return one of its neighbours.
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
    fn a_result_becomes_json_where_possible() {
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
    fn the_last_of_several_fields_with_one_name_wins() {
        let json = Json::parse(r#"{"a":1,"b":[1.0],"\u0061":1.50}"#.to_owned()).unwrap();
        assert_eq!((json.field("a"), json.field("b"), json.field("c")), (Some("1.50"), Some("[1.0]"), None));
    }
}
