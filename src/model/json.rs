//! JSON that is passed through untouched.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

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

    /// The parsed value, for a filter to look into. What a [`Value`] cannot hold, such as `1e999`, is null in it.
    pub fn to_value(&self) -> Value {
        self.value_within(DEEPEST)
    }

    /// Whether it is neither an object nor an array.
    pub fn is_scalar(&self) -> bool {
        !self.as_str().starts_with(['{', '['])
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        self.as_str().starts_with('{')
    }

    /// What it is made of, one level down.
    pub fn parts(&self) -> Parts {
        // The text has been parsed once: what starts as an object is one.
        let parts = match self.as_str().as_bytes().first() {
            Some(b'{') => serde_json::from_str(self.as_str()).map(|Fields(fields)| Parts::Object(fields)),
            Some(b'[') => serde_json::from_str(self.as_str()).map(Parts::Array),
            _ => return Parts::Scalar,
        };
        parts.unwrap_or(Parts::Scalar)
    }

    fn value_within(&self, depth: usize) -> Value {
        if let Ok(value) = serde_json::from_str(self.as_str()) {
            return value;
        }
        let Some(depth) = depth.checked_sub(1) else { return Value::Null };
        match self.parts() {
            Parts::Object(fields) => {
                fields.into_iter().map(|(name, field)| (name, field.value_within(depth))).collect()
            }
            Parts::Array(elements) => elements.iter().map(|element| element.value_within(depth)).collect(),
            Parts::Scalar => Value::Null,
        }
    }
}

/// How deep a text is looked into for the parts of it that parse: as deep as `serde_json` parses.
const DEEPEST: usize = 128;

/// What a JSON text is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Parts {
    /// The fields of an object, in their order; a name may come twice.
    Object(Vec<(String, Json)>),
    /// The elements of an array.
    Array(Vec<Json>),
    /// It is neither.
    Scalar,
}

impl Parts {
    /// The text that these are the parts of; `null` for a scalar.
    pub fn join(&self) -> Json {
        let text = match self {
            Self::Object(fields) => {
                let fields = fields.iter().map(|(name, field)| format!("{}:{}", Value::from(&**name), field.as_str()));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }
            Self::Array(elements) => {
                format!("[{}]", elements.iter().map(Json::as_str).collect::<Vec<_>>().join(","))
            }
            Self::Scalar => return Value::Null.into(),
        };
        // Parts that parse, joined like this, parse.
        Json(RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

/// The fields of an object in their order.
struct Fields(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reader)
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
    use serde_json::json;

    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn what_a_value_cannot_hold_takes_nothing_else_away() {
        let read = json(r#"{"a":[1,1e999,{"b":2}],"c":"x"}"#).to_value();
        assert_eq!(read, json!({"a": [1, null, {"b": 2}], "c": "x"}));
        let deep = format!("{{\"a\":1,\"deep\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(json(&deep).to_value()["a"], 1);
    }

    #[test]
    fn parts_join_to_the_same_text() {
        for text in [r#"{"a\"\u00e9":1.50,"b":[],"a":{"x":1e999}}"#, "[1.0,[2],\"x\"]", "{}", "[]"] {
            let joined = json(text).parts().join();
            assert_eq!(joined.parts(), json(text).parts());
        }
        assert_eq!(json("[1.0,[2]]").parts().join().as_str(), "[1.0,[2]]");
    }
}
