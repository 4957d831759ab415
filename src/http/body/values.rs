//! Reads the values of fields, each by its own rule.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::value::RawValue;
use tasklane_model::{
    AccountText, Advance, ApplicationId, Architecture, Backoff, BulkAction, CanaryPercent, CanaryRuns, CatchUp,
    CodeSha256, ConcurrencyLimit, Cron, DebounceKey, DebounceMode, DebounceSeconds, EmailAddress, EntryPoint,
    EphemeralStorage, Error, ErrorKind, ErrorNames, FailTimes, FlowConcurrency, FlowKey, FlowPath, FunctionName,
    IdempotencyKey, ImageReference, Interval, Json, JsonSchema, Layers, LogRetentionDays, ManagedBy, MaxRetries,
    MemoryLimit, MostDebounceSeconds, ObjectId, Overlap, Password, PerSecond, PermissionMode, Permissions, Priority,
    QueuedTimeout, RateCount, RateSeconds, Result, RetrySeconds, RoleArn, RoleName, Runtime, ScheduleName, Secret,
    SecretReference, SecurityGroupIds, SnapStart, SubnetIds, Tags, TaskEvents, TimeLimit, TimeZone, Timestamp,
    TracingMode, UploadId, UploadSize, UserId, VersionLabel, VersionNumber,
    flow::InvalidFlowKey,
    json::{
        number::Number,
        scan::{elements, unescape},
    },
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

/// A value of a field. It never sees `null`, which is the same as absent.
pub trait FromField: Sized {
    /// Reads the value of the field at `path`; 15 when it breaks its rule.
    fn from_field(value: &RawValue, path: &str) -> Result<Self>;
}

/// A Function's zip, in base64 (1401 when it is not).
#[derive(Debug)]
pub struct Code(pub Bytes);

/// A Function's description: at most 256 characters, like Lambda's.
#[derive(Debug)]
pub struct Description(pub String);

impl FromField for Code {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        let text = string(value).ok_or_else(|| Error::field_format(path, "must be a zip file in base64"))?;
        BASE64_STANDARD.decode(text.as_bytes()).map(|zip| Self(zip.into())).map_err(|error| {
            let message = format!(
                "The field '{path}' is not base64 ({error}): send a zip file in standard base64, padded, without line breaks."
            );
            Error::new(ErrorKind::InvalidFunctionCode, message)
        })
    }
}

impl FromField for Description {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        sentence(value, path).map(Self)
    }
}

/// Why something is done, in the caller's words: at most 256 characters.
#[derive(Debug)]
pub struct Reason(pub String);

impl FromField for Reason {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        sentence(value, path).map(Self)
    }
}

impl FromField for AccountText {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        Self::parse(String::from_field(value, path)?).map_err(|rule| Error::field_format(path, rule))
    }
}

impl FromField for Secret {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        String::from_field(value, path).map(Self::new)
    }
}

impl FromField for Password {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        Self::parse(string_or_empty(value)).map_err(|rule| Error::field_format(path, rule))
    }
}

/// The only way of activation there is: an administrator gives the user a role.
#[derive(Debug)]
pub struct ManualActivation;

impl FromField for ManualActivation {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        match string_or_empty(value).as_str() {
            "manual" => Ok(Self),
            _ => Err(Error::field_format(path, "must be manual, because this service sends no mail")),
        }
    }
}

impl FromField for Vec<ObjectId> {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        let ids = Vec::<String>::from_field(value, path)?;
        let rule = "must be a list of ids, of 24 hexadecimal digits each";
        ids.iter().map(|id| id.parse().map_err(|_| Error::field_format(path, rule))).collect()
    }
}

/// A string of at most 256 characters.
fn sentence(value: &RawValue, path: &str) -> Result<String> {
    match string(value) {
        Some(text) if text.chars().count() <= 256 => Ok(text.into_owned()),
        _ => Err(Error::field_format(path, "must be a string of at most 256 characters")),
    }
}

impl FromField for BulkAction {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        one_of(&Self::ON_TASKS.map(|action| (action.as_str(), action)), value, path)
    }
}

impl FromField for String {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        string(value).map(Cow::into_owned).ok_or_else(|| Error::field_format(path, "must be a string"))
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
    fn from_field(value: &RawValue, _: &str) -> Result<Self> {
        Ok(value.into())
    }
}

impl FromField for JsonSchema {
    fn from_field(value: &RawValue, field: &str) -> Result<Self> {
        Self::parse(&Json::from(value)).map_err(|rule| Error::field_format(field, rule))
    }
}

impl FromField for FlowKey {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        Self::of(&Json::from(value).node()).ok_or_else(|| Error::field_format(path, InvalidFlowKey))
    }
}

impl FromField for Timestamp {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        string(value).and_then(|text| text.parse().ok()).ok_or_else(|| {
            let rule = "must be a time with an offset, such as 2026-01-31T08:15:30.123Z, from the years 1970 to 9999";
            Error::field_format(path, rule)
        })
    }
}

impl FromField for Runtime {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        string(value)
            .map(|text| Self::new(text.into_owned()))
            .ok_or_else(|| Error::field_format(path, "must be the identifier of a runtime, such as nodejs22.x"))
    }
}

impl FromField for PermissionMode {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        one_of(&Self::NAMES, value, path)
    }
}

impl FromField for Architecture {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        one_of(&Self::NAMES, value, path)
    }
}

impl FromField for TracingMode {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        one_of(&Self::NAMES, value, path)
    }
}

impl FromField for SnapStart {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        one_of(&Self::NAMES, value, path)
    }
}

impl FromField for Overlap {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        one_of(Self::NAMES, value, path)
    }
}

impl FromField for CatchUp {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        one_of(Self::NAMES, value, path)
    }
}

impl FromField for ManagedBy {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        one_of(Self::NAMES, value, path)
    }
}

impl FromField for Backoff {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        one_of(&Self::NAMES, value, path)
    }
}

impl FromField for DebounceMode {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        one_of(&Self::NAMES, value, path)
    }
}

impl FromField for TaskEvents {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        let names = Vec::<String>::from_field(value, path)?;
        Self::named(names.iter().map(String::as_str)).map_err(|rule| Error::field_format(path, rule))
    }
}

/// The value with the name that the field holds.
fn one_of<T: Copy>(names: &[(&str, T)], value: &RawValue, path: &str) -> Result<T> {
    let text = string(value).unwrap_or_default();
    names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        Error::field_format(path, format!("must be one of {}", names.join(", ")))
    })
}

impl FromField for Vec<String> {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        let string = |element: &str| element.starts_with('"').then(|| unescape(element).into_owned());
        let strings = value.get().starts_with('[').then(|| elements(value.get()).map(string).collect::<Option<_>>());
        strings.flatten().ok_or_else(|| Error::field_format(path, "must be a list of strings"))
    }
}

/// Lists of strings whose own error states their rule.
macro_rules! lists_by_own_rule {
    ($($type:ty),*) => {
        $(impl FromField for $type {
            fn from_field(value: &RawValue, path: &str) -> Result<Self> {
                Self::try_from(Vec::<String>::from_field(value, path)?).map_err(|rule| Error::field_format(path, rule))
            }
        })*
    };
}

lists_by_own_rule!(Tags, ErrorNames, Layers, SubnetIds, SecurityGroupIds);

impl FromField for Permissions {
    fn from_field(value: &RawValue, path: &str) -> Result<Self> {
        let names = BTreeSet::from_iter(Vec::<String>::from_field(value, path)?);
        Self::parse(names)
            .map_err(|rule| Error::field_format(path, format!("contains an invalid permission: each {rule}")))
    }
}

/// Types whose own error states their rule, read from a whole number or a string.
macro_rules! by_own_rule {
    ($read:ident: $($type:ty),*) => {
        $(impl FromField for $type {
            fn from_field(value: &RawValue, path: &str) -> Result<Self> {
                $read(value).try_into().map_err(|rule| Error::field_format(path, rule))
            }
        })*
    };
}

by_own_rule!(number_or_invalid: Advance, UploadSize, EphemeralStorage, LogRetentionDays, FailTimes, TimeLimit, MemoryLimit, Priority, ConcurrencyLimit, MaxRetries, RetrySeconds, QueuedTimeout, DebounceSeconds, MostDebounceSeconds, PerSecond, Interval, FlowConcurrency, RateCount, RateSeconds, VersionNumber, CanaryPercent, CanaryRuns);
by_own_rule!(string_or_empty: CodeSha256, FunctionName, UploadId, RoleArn, SecretReference, EntryPoint, ImageReference, UserId, ApplicationId, IdempotencyKey, DebounceKey, ScheduleName, Cron, TimeZone, FlowPath, VersionLabel, RoleName, EmailAddress);

/// A whole number in any notation (`30`, `30.0`, `3e1`). Anything else becomes a number that no rule accepts, so that
/// the error states the rule.
fn number_or_invalid(value: &RawValue) -> i64 {
    Number::parse(value.get()).and_then(|number| number.to_i64()).unwrap_or(i64::MIN)
}

/// A string. Anything else becomes an empty one, which no rule accepts, so that the error states the rule.
fn string_or_empty(value: &RawValue) -> String {
    string(value).map(Cow::into_owned).unwrap_or_default()
}

/// The value as a string. Borrowed if it contains no escapes, because a Function's code is large.
fn string(value: &RawValue) -> Option<Cow<'_, str>> {
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

impl PartialSchema for ManualActivation {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["manual"])).into()
    }
}

impl ToSchema for ManualActivation {}

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
    fn only_whole_numbers_are_accepted_but_in_any_notation() {
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
    fn errors_of_strings_state_the_rule() {
        let error = read::<FunctionName>("\"a b\"").unwrap_err();
        assert_eq!(error.message(), "The field 'field' must be 1 to 64 of the characters A-Z a-z 0-9 _ -.");
        assert_eq!(read::<FunctionName>("17").unwrap_err().message(), error.message());
        let error = read::<PermissionMode>("\"everyone\"").unwrap_err();
        assert_eq!(error.message(), "The field 'field' must be one of permissionRequired, allUsers, public.");
    }

    #[test]
    fn lists_contain_only_valid_strings() {
        assert_eq!(read::<Tags>(r#" ["a" ,"é\ud83d"] "#.trim()).unwrap().as_slice(), ["a", "é\u{FFFD}"]);
        for json in [r#"["a",1]"#, r#""a""#, r#"[""]"#, r#"[null]"#, "{}"] {
            assert_eq!(read::<Tags>(json).unwrap_err().kind(), ErrorKind::FieldFormat, "{json}");
        }
        assert!(read::<Permissions>(r#"["VIEW_TASKS"]"#).is_ok());
        assert!(read::<Permissions>(r#"["VIEW TASKS"]"#).is_err());
    }
}
