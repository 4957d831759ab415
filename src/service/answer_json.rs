//! Reads the JSON of a Function's answer without changing it.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The fields of an object in order, with each value as it was written.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// A field's value; of two fields with the same name, the last one.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    fields.push((decode(name), value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The kind of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    Array,
    Object,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Array => "a list",
            Self::Object => "an object",
        })
    }
}

pub(super) fn kind_of(value: &RawValue) -> Kind {
    // It was parsed, so the first byte is decisive.
    match value.get().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::Text,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

/// A value that is neither a list nor an object; numbers and booleans as they were written.
pub(super) enum Scalar<'a> {
    Null,
    Bool(&'a str),
    Number(&'a str),
    Text(Cow<'a, str>),
}

pub(super) fn scalar_of(value: &RawValue) -> Option<Scalar<'_>> {
    match kind_of(value) {
        Kind::Null => Some(Scalar::Null),
        Kind::Bool => Some(Scalar::Bool(value.get())),
        Kind::Number => Some(Scalar::Number(value.get())),
        Kind::Text => Some(Scalar::Text(decode(value))),
        Kind::Array | Kind::Object => None,
    }
}

/// The contents of a string. A lone surrogate, which JSON can express, is not a character: it becomes U+FFFD.
pub(super) fn decode(string: &RawValue) -> Cow<'_, str> {
    let written = string.get();
    let inner = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
        _ => {
            let text = serde_json::from_str(written).or_else(|_| serde_json::from_str(&with_whole_pairs(written)));
            Cow::Owned(text.unwrap_or_default())
        }
    }
}

/// The JSON of a string, with `\ufffd` in place of each lone surrogate.
fn with_whole_pairs(json: &str) -> String {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut whole = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(escape) = rest.find('\\') {
        let at = json.len() - rest.len() + escape;
        whole.push_str(&rest[..escape]);
        let (taken, replaced) = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, false),
            (Some(0xd800..=0xdfff), _) => (6, true),
            (Some(_), _) => (6, false),
            // A backslash and one ASCII character, because it parsed as JSON.
            (None, _) => (2, false),
        };
        let end = (at + taken).min(json.len());
        whole.push_str(if replaced { "\\ufffd" } else { &json[at..end] });
        rest = &json[end..];
    }
    whole + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lone_surrogates_are_replaced() {
        for (json, text) in [
            (r#""plain é""#, "plain é"),
            (r#""\ud83d\ude00 \u00e9\n""#, "\u{1f600} é\n"),
            (r#""\ud83d!""#, "\u{fffd}!"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\\ud83d \ud83d""#, "\\ud83d \u{fffd}"),
            (r#""\"\ud83dé\\""#, "\"\u{fffd}é\\"),
        ] {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(decode(raw), text, "{json}");
        }
    }

    #[test]
    fn of_two_fields_with_one_name_the_last_wins() {
        let fields: Fields<'_> = serde_json::from_str(r#"{"a":1.10,"\u0061":[ 1 ],"b":null}"#).unwrap();
        assert_eq!(fields.get("a").unwrap().get(), "[ 1 ]");
        assert_eq!(fields.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "a", "b"]);
        assert!(fields.get("c").is_none());
    }
}
