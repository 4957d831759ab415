//! How the values of fields are read, each by its own rule.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use crate::model::{
    ApplicationId, ConcurrencyLimit, EntryPoint, Error, ErrorKind, FunctionName, Interval, Json, MemoryLimit,
    PermissionMode, Permissions, Priority, Result, Runtime, Tags, TimeLimit, Timestamp, UserId,
    json::{
        number::Number,
        scan::{elements, unescape},
    },
};

/// A value that a field of a body can hold. It is never given `null`: that is the same as absent.
pub trait FromField: Sized {
    /// Reads the value of the field at `path`; 15 when it breaks the value's rule.
    fn from_field(value: &RawValue, path: &str) -> Result<Self>;
}

/// A Function's zip, sent as base64 (1401 when it is not).
#[derive(Debug)]
pub struct Code(pub Bytes);

/// A Function's description: at most 256 characters, as Lambda's.
#[derive(Debug)]
pub struct Description(pub String);

impl FromField for Code {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        let text = text(value).ok_or_else(|| Error::field_format(path, "must be a zip file in base64"))?;
        BASE64_STANDARD.decode(text.as_bytes()).map(|zip| Self(zip.into())).map_err(|error| {
            let message = format!(
                "The field '{path}' is not base64 ({error}): send a zip file in base64 of the standard alphabet, padded, without line breaks."
            );
            Error::new(ErrorKind::InvalidFunctionCode, message)
        })
    }
}

impl FromField for Description {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        match text(value) {
            Some(text) if text.chars().count() <= 256 => Ok(Self(text.into_owned())),
            _ => Err(Error::field_format(path, "must be a text of at most 256 characters")),
        }
    }
}

impl FromField for String {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        text(value).map(Cow::into_owned).ok_or_else(|| Error::field_format(path, "must be a text"))
    }
}

impl FromField for bool {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        match value.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Error::field_format(path, "must be true or false")),
        }
    }
}

impl FromField for Json {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        Self::parse(value.get().to_owned()).map_err(|error| Error::field_format(path, format!("is not JSON: {error}")))
    }
}

impl FromField for Timestamp {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        text(value).and_then(|text| text.parse().ok()).ok_or_else(|| {
            let rule = "must be a time with its offset, such as 2026-01-31T08:15:30.123Z, from the years 1970 to 9999";
            Error::field_format(path, rule)
        })
    }
}

impl FromField for Runtime {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        text(value)
            .map(|text| Self::new(text.into_owned()))
            .ok_or_else(|| Error::field_format(path, "must be the identifier of a runtime, such as nodejs22.x"))
    }
}

impl FromField for PermissionMode {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        let text = text(value).unwrap_or_default();
        Self::NAMES.into_iter().find(|(name, _)| *name == text).map(|(_, mode)| mode).ok_or_else(|| {
            Error::field_format(path, format!("must be one of {}", Self::NAMES.map(|(name, _)| name).join(", ")))
        })
    }
}

impl FromField for Vec<String> {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        let text = |element: &str| element.starts_with('"').then(|| unescape(element).into_owned());
        let texts = value.get().starts_with('[').then(|| elements(value.get()).map(text).collect::<Option<_>>());
        texts.flatten().ok_or_else(|| Error::field_format(path, "must be a list of texts"))
    }
}

impl FromField for Tags {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        Self::try_from(Vec::from_field(value, path)?).map_err(|rule| Error::field_format(path, rule))
    }
}

impl FromField for Permissions {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        let names = BTreeSet::from_iter(Vec::<String>::from_field(value, path)?);
        Self::parse(names).map_err(|rule| Error::field_format(path, format!("holds a name that is none: each {rule}")))
    }
}

/// Types whose own error says their rule, read from a whole number or from a text.
macro_rules! by_own_rule {
    ($read:ident: $($type:ty),*) => {
        $(impl FromField for $type {
            fn from_field(value: &RawValue, path: &str) -> Result<Self> {
                $read(value).try_into().map_err(|rule| Error::field_format(path, rule))
            }
        })*
    };
}

by_own_rule!(number_or_misfit: TimeLimit, MemoryLimit, Priority, ConcurrencyLimit, Interval);
by_own_rule!(text_or_misfit: FunctionName, EntryPoint, UserId, ApplicationId);

/// A whole number, however it is written (`30`, `30.0`, `3e1`); anything else becomes a number that no rule takes, so
/// that the error says the rule.
fn number_or_misfit(value: &RawValue) -> i64 {
    Number::parse(value.get()).and_then(|number| number.to_i64()).unwrap_or(i64::MIN)
}

/// A text; anything else becomes the empty one, which no rule takes, so that the error says the rule.
fn text_or_misfit(value: &RawValue) -> String {
    text(value).map(Cow::into_owned).unwrap_or_default()
}

/// The text that a value is. Borrowed where it holds no escapes: a Function's code is large.
fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    value.get().starts_with('"').then(|| unescape(value.get()))
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .content_encoding("base64")
            .content_media_type("application/zip")
            .description(Some("A zip file in base64."))
            .into()
    }
}

impl ToSchema for Code {}

impl PartialSchema for Description {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).max_length(Some(256)).into()
    }
}

impl ToSchema for Description {}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: FromField>(json: &str) -> Result<T> {
        T::from_field(&RawValue::from_string(json.to_owned()).unwrap(), "field")
    }

    #[test]
    fn whole_numbers_are_numbers_however_written_and_nothing_else_is() {
        for json in ["30", "30.0", "3e1"] {
            assert_eq!(read::<TimeLimit>(json).unwrap().get(), 30, "{json}");
        }
        for json in ["3.5", "\"30\"", "2", "301", "-30", "true", "[30]", "1e400", "99999999999999999999"] {
            let error = read::<TimeLimit>(json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FieldFormat, "{json}");
            assert_eq!(error.message(), "The field 'field' must be a whole number of seconds from 3 to 300.");
        }
        for json in ["-9007199254740991", "-9007199254740991.0", "-90071992547409910e-1"] {
            assert_eq!(read::<Priority>(json).unwrap(), Priority::MIN, "{json}");
        }
        assert_eq!(read::<Priority>("5.0").unwrap(), Priority::new(5).unwrap());
        assert_eq!(read::<Priority>("-0.0").unwrap(), Priority::default());
        for json in ["9007199254740992", "-9223372036854775808", "1e17", "9007199254740991.5"] {
            assert!(read::<Priority>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn code_is_strict_base64() {
        assert_eq!(read::<Code>("\"UEsFBg==\"").unwrap().0, &b"PK\x05\x06"[..]);
        assert_eq!(read::<Code>(r#""\/\/8=""#).unwrap().0, &b"\xff\xff"[..]);
        for json in ["\"UEsFBg\"", "\"UEsF Bg==\"", "\"UEsF\\nBg==\"", "\"__8=\"", "\"data:x,UEsFBg==\""] {
            assert_eq!(read::<Code>(json).unwrap_err().kind(), ErrorKind::InvalidFunctionCode, "{json}");
        }
        assert_eq!(read::<Code>("7").unwrap_err().kind(), ErrorKind::FieldFormat);
    }

    #[test]
    fn texts_say_their_own_rule() {
        let error = read::<FunctionName>("\"a b\"").unwrap_err();
        assert_eq!(error.message(), "The field 'field' must be 1 to 64 of the characters A-Z a-z 0-9 _ -.");
        assert_eq!(read::<FunctionName>("17").unwrap_err().message(), error.message());
        let error = read::<PermissionMode>("\"everyone\"").unwrap_err();
        assert_eq!(error.message(), "The field 'field' must be one of permissionRequired, allUsers, public.");
    }

    #[test]
    fn lists_hold_texts_by_their_rule() {
        assert_eq!(read::<Tags>(r#" ["a" ,"é\ud83d"] "#.trim()).unwrap().as_slice(), ["a", "é\u{FFFD}"]);
        for json in [r#"["a",1]"#, r#""a""#, r#"[""]"#, r#"[null]"#, "{}"] {
            assert_eq!(read::<Tags>(json).unwrap_err().kind(), ErrorKind::FieldFormat, "{json}");
        }
        assert!(read::<Permissions>(r#"["VIEW_TASKS"]"#).is_ok());
        assert!(read::<Permissions>(r#"["VIEW TASKS"]"#).is_err());
    }
}
