//! The fields of a JSON object in a request's body.

use std::{borrow::Cow, collections::HashMap};

use serde_json::value::RawValue;
use tasklane_model::{
    Error, ErrorKind, Json, Result,
    json::scan::{self, unescape},
};

use super::values::FromField;

/// How deep a body may nest. Responses wrap records in pages, and JSON parsers (serde_json included) stop at 128.
const MAX_DEPTH: usize = 100;

/// A JSON object whose fields are read one by one, each by its own rule.
///
/// Unknown fields are ignored, the last of two equal names wins, and `null` is the same as absent. Every error names
/// the field by its path from the root of the body, such as `retryPolicy.enabled`.
#[derive(Debug)]
pub struct Fields<'a> {
    path: String,
    values: HashMap<String, &'a RawValue>,
}

impl<'a> Fields<'a> {
    /// Reads a body: 13 when it is empty, 22 when it is not a JSON object.
    pub fn parse(body: &'a str) -> Result<Self> {
        Self::parse_optional(body)?.ok_or_else(|| {
            Error::new(ErrorKind::EmptyBody, "The request has no body: send a JSON object, with Content-Length.")
        })
    }

    /// Reads a body that may be absent: `None` when it is empty, 22 when it is not a JSON object.
    pub fn parse_optional(body: &'a str) -> Result<Option<Self>> {
        let text = body.trim_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            return Ok(None);
        }
        if !text.starts_with('{') {
            // A separate check, because serde's own message would quote the body.
            return Err(not_json("it does not begin with {"));
        }
        let values = read(text).map_err(not_json)?;
        if depth(text) > MAX_DEPTH {
            return Err(Error::new(
                ErrorKind::BodyFormat,
                format!("The body nests deeper than {MAX_DEPTH} levels: make it flatter."),
            ));
        }
        Ok(Some(Self { path: String::new(), values }))
    }

    /// Checks that all these fields are present, and names every one that is missing (14).
    pub fn require(&self, names: &[&str]) -> Result<()> {
        let missing: Vec<_> =
            names.iter().filter(|name| self.present(name).is_none()).map(|name| self.path_of(name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::missing_fields(&missing.iter().map(|path| path.as_ref()).collect::<Vec<_>>()))
    }

    /// A required field (14) with a rule of its own (15).
    pub fn required<T: FromField>(&self, name: &str) -> Result<T> {
        self.require(&[name])?;
        self.optional(name)?.ok_or_else(|| Error::missing_fields(&[self.path_of(name).as_ref()]))
    }

    /// A field that may be absent or `null`.
    pub fn optional<T: FromField>(&self, name: &str) -> Result<Option<T>> {
        self.present(name).map(|value| T::from_field(value, &self.path_of(name))).transpose()
    }

    /// A field that holds any JSON, `null` included. `None` only when it is absent.
    pub fn json(&self, name: &str) -> Result<Option<Json>> {
        self.values.get(name).map(|value| Json::from_field(value, &self.path_of(name))).transpose()
    }

    /// A field whose `null` removes a value: `None` when absent, `Some(None)` when `null`.
    pub fn clearable<T: FromField>(&self, name: &str) -> Result<Option<Option<T>>> {
        if self.has(name) { self.optional(name).map(Some) } else { Ok(None) }
    }

    /// Whether there is such a field, and it is not `null`.
    pub fn has_value(&self, name: &str) -> bool {
        self.present(name).is_some()
    }

    /// Whether there is such a field, even if it is `null`.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A field that holds an object, if present.
    pub fn object(&self, name: &str) -> Result<Option<Self>> {
        let Some(value) = self.present(name) else { return Ok(None) };
        let path = self.path_of(name).into_owned();
        let is_object = value.get().starts_with('{');
        match read(value.get()) {
            Ok(values) if is_object => Ok(Some(Self { path, values })),
            _ => Err(Error::field_format(&path, "must be an object")),
        }
    }

    /// The elements of a field that holds a list of objects, and how each of them was written; `None` if it does not.
    pub fn objects(&self, name: &str) -> Option<Vec<(Self, &'a str)>> {
        let list = self.present(name).filter(|value| value.get().starts_with('['))?.get();
        let path = self.path_of(name);
        let object = |(place, text): (usize, &'a str)| {
            let values = if text.starts_with('{') { read(text).ok()? } else { return None };
            Some((Self { path: format!("{path}[{place}]"), values }, text))
        };
        scan::elements(list).enumerate().map(object).collect()
    }

    /// The names of the fields that are present, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The path of a field from the root of the body.
    pub fn path_of<'b>(&self, name: &'b str) -> Cow<'b, str> {
        if self.path.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{}.{name}", self.path)) }
    }

    fn present(&self, name: &str) -> Option<&'a RawValue> {
        self.values.get(name).copied().filter(|value| value.get() != "null")
    }
}

/// The fields of an object. serde_json refuses a name that contains half of a surrogate pair; this does not.
fn read(text: &str) -> serde_json::Result<HashMap<String, &RawValue>> {
    serde_json::from_str(text).or_else(|error| {
        if serde_json::from_str::<&RawValue>(text).is_err() {
            return Err(error);
        }
        let each =
            scan::fields(text).map(|(name, value)| Ok((unescape(name).into_owned(), serde_json::from_str(value)?)));
        each.collect()
    })
}

fn not_json(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::BodyFormat, format!("The body is not a JSON object: {why}."))
}

/// How deep valid JSON nests: brackets match and strings end. Values are kept as text and were parsed without
/// recursion, so nothing has limited their depth yet.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use tasklane_model::Timestamp;

    fn kind_of<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn an_empty_body_differs_from_a_malformed_one() {
        for empty in ["", "  \r\n"] {
            assert_eq!(kind_of(Fields::parse(empty)), ErrorKind::EmptyBody);
            assert!(Fields::parse_optional(empty).unwrap().is_none());
        }
        for wrong in ["[]", "null", "\"secret\"", "{", "{} x", "{'a':1}", "{\"a\":}", "\u{feff}{}"] {
            let error = Fields::parse(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BodyFormat, "{wrong}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn all_missing_fields_are_named_together_and_null_is_missing() {
        let fields = Fields::parse(r#"{"a": 1, "b": null}"#).unwrap();
        let error = fields.require(&["a", "b", "c"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingRequiredFields);
        assert_eq!(error.message(), "Required fields are missing: 'b', 'c'.");
        assert_eq!(kind_of(fields.required::<String>("b")), ErrorKind::MissingRequiredFields);
        assert!(fields.optional::<String>("b").unwrap().is_none());
        assert!(matches!(fields.clearable::<String>("b"), Ok(Some(None))));
        assert!(matches!(fields.clearable::<String>("c"), Ok(None)));
    }

    #[test]
    fn errors_name_the_path_of_the_field() {
        let fields = Fields::parse(r#"{"retryPolicy": {"enabled": "yes"}, "x": [1]}"#).unwrap();
        let policy = fields.object("retryPolicy").unwrap().unwrap();
        let error = policy.optional::<bool>("enabled").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FieldFormat);
        assert_eq!(error.message(), "The field 'retryPolicy.enabled' must be true or false.");
        assert_eq!(fields.object("x").unwrap_err().message(), "The field 'x' must be an object.");
    }

    #[test]
    fn the_last_of_two_equal_names_wins() {
        let fields = Fields::parse(r#"{"a": "first", "a": "last"}"#).unwrap();
        assert_eq!(fields.required::<String>("a").unwrap(), "last");
    }

    #[test]
    fn data_is_kept_as_it_was_written() {
        let data = r#"{ "n": 1.0e2, "z":1, "a": "\u00e9", "big": 12345678901234567890123 }"#;
        let body = format!(r#"{{"data":{data}}}"#);
        let fields = Fields::parse(&body).unwrap();
        assert_eq!(fields.required::<Json>("data").unwrap().as_str(), data);
    }

    #[test]
    fn half_of_a_surrogate_pair_is_accepted() {
        let fields =
            Fields::parse(r#"{"\ud83d": 1, "a": "x\ud83d", "data": "\ude00", "o": {"\ud83d":1,"b":2}}"#).unwrap();
        assert_eq!(fields.required::<String>("a").unwrap(), "x\u{FFFD}");
        assert_eq!(fields.json("data").unwrap().unwrap().as_str(), r#""\ude00""#);
        assert_eq!(fields.object("o").unwrap().unwrap().names().count(), 2);
        assert_eq!(kind_of(Fields::parse(r#"{"\ud83d": 1, "a": "\ud83"}"#)), ErrorKind::BodyFormat);
    }

    #[test]
    fn data_may_be_null_which_is_not_the_same_as_absent() {
        let fields = Fields::parse(r#"{"data": null}"#).unwrap();
        assert_eq!(fields.json("data").unwrap().unwrap().as_str(), "null");
        assert!(fields.json("other").unwrap().is_none());
    }

    #[test]
    fn depth_is_limited() {
        let nested = |levels: usize| format!(r#"{{"data":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(Fields::parse(&nested(99)).is_ok());
        assert_eq!(kind_of(Fields::parse(&nested(100))), ErrorKind::BodyFormat);
        assert_eq!(kind_of(Fields::parse(&nested(500_000))), ErrorKind::BodyFormat);
        let brackets_in_text = format!(r#"{{"data":"\"{}"}}"#, "[".repeat(500));
        assert!(Fields::parse(&brackets_in_text).is_ok());
    }

    #[test]
    fn times_need_an_offset() {
        let fields =
            Fields::parse(r#"{"a": "2026-01-31T08:15:30.123Z", "b": "2026-01-31T08:15:30", "c": 17}"#).unwrap();
        assert!(fields.required::<Timestamp>("a").is_ok());
        assert_eq!(kind_of(fields.required::<Timestamp>("b")), ErrorKind::FieldFormat);
        assert_eq!(kind_of(fields.required::<Timestamp>("c")), ErrorKind::FieldFormat);
    }
}
