//! Words → values: decoding, casts, and the guess where there is no cast.
//!
//! A value is percent-decoded twice (the SDK's builder encodes twice). Between the two, a cast such as `string:` and
//! quotes around the whole value are syntax; after the second, everything is data. So whatever text the builder is
//! given comes out as that text, while hand-written queries can cast and quote.

use std::borrow::Cow;

use super::{
    Field, FieldKind, Value,
    syntax::{Fault, Word},
};
use jiff::{fmt::temporal::Pieces, tz::Offset};
use percent_encoding::percent_decode_str;
use tasklane_model::{
    ObjectId, Timestamp,
    json::number::{self, Number},
    time::millis,
};

/// Reads a word as a value of this field. `None`: the field holds ids and the word is not an id, so nothing equals it.
pub(super) fn read(word: Word<'_>, field: Field, name: &str) -> Result<Option<Value>, Fault> {
    let misfit = |holds: &str| Fault::new(word.at, format!("'{name}' holds {holds}; this value is not one"));
    let literal = Literal::read(word)?;
    if field.optional && literal.is_null() {
        return Ok(Some(Value::Null));
    }
    match field.kind {
        FieldKind::Any => Ok(Some(literal.guess())),
        FieldKind::Text | FieldKind::TextList => {
            literal.into_text().map(|text| Some(Value::Text(text))).ok_or(misfit("strings"))
        }
        FieldKind::Id | FieldKind::IdList => {
            let text = literal.into_text().ok_or(misfit("ids"))?;
            Ok(text.parse::<ObjectId>().ok().map(Value::Id))
        }
        FieldKind::Number => match literal {
            Literal::Plain(text) => Number::parse(&text),
            Literal::Cast(Value::Number(number, _)) => Some(number),
            Literal::Cast(_) => None,
        }
        .map(|number| Some(Value::Number(number, None)))
        .ok_or(misfit("numbers")),
        FieldKind::Timestamp => match literal {
            Literal::Plain(text) | Literal::Cast(Value::Text(text)) => {
                moment(&text).or_else(|| javascript_millis(&text))
            }
            Literal::Cast(Value::Time(at, _)) => Some(at),
            Literal::Cast(_) => None,
        }
        .map(|at| Some(Value::Time(at, None)))
        .ok_or(misfit("timestamps such as 2026-01-31T08:15:30.123Z")),
        FieldKind::Object => Err(misfit("an object: use one of its fields, or contains(…)")),
    }
}

/// Reads a word as a string, whatever it looks like.
pub(super) fn text(word: Word<'_>) -> Result<String, Fault> {
    Literal::read(word)?.into_text().ok_or_else(|| Fault::new(word.at, "expected a string"))
}

/// Decodes a word that is not a value: a part of a field's name, or a number of `limit`.
pub(super) fn decode(word: Word<'_>) -> Result<String, Fault> {
    once(word).map(|text| again(&text))
}

enum Literal {
    /// A string whose type must be guessed.
    Plain(String),
    /// A value with an explicit type.
    Cast(Value),
}

impl Literal {
    fn read(word: Word<'_>) -> Result<Self, Fault> {
        let text = once(word)?;
        for quote in ['\'', '"'] {
            if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
                return Ok(Self::Cast(Value::Text(again(inner))));
            }
        }
        match text.split_once(':') {
            Some((cast, rest)) => match cast_as(cast, &again(rest)) {
                Some(Ok(value)) => Ok(Self::Cast(value)),
                Some(Err(expected)) => Err(Fault::new(word.at, format!("'{cast}:' must be followed by {expected}"))),
                None => Ok(Self::Plain(again(&text))),
            },
            None => Ok(Self::Plain(again(&text))),
        }
    }

    fn is_null(&self) -> bool {
        match self {
            Self::Plain(text) => text == "null",
            Self::Cast(_) => false,
        }
    }

    fn into_text(self) -> Option<String> {
        match self {
            Self::Plain(text) | Self::Cast(Value::Text(text)) => Some(text),
            Self::Cast(_) => None,
        }
    }

    /// A word that is a JSON number is read as one. persvr guesses a number only if JavaScript would write it with the same
    /// characters, and a string otherwise. But other languages write `5.0`, `1e21` and integers of twenty digits into
    /// their JSON and search for what they wrote, so such a word is both.
    fn guess(self) -> Value {
        let text = match self {
            Self::Cast(value) => return value,
            Self::Plain(text) => text,
        };
        match text.as_str() {
            "null" => return Value::Null,
            "true" => return Value::Bool(true),
            "false" => return Value::Bool(false),
            _ => {}
        }
        match Number::parse(&text).filter(|_| number::is_json(&text)) {
            Some(number) if number::is_as_javascript_prints(&text) => Value::Number(number, None),
            Some(number) => Value::Number(number, Some(text)),
            None => match moment(&text) {
                Some(at) => Value::Time(at, Some(text)),
                None => Value::Text(text),
            },
        }
    }
}

/// The value of a cast, or what must follow the cast. `None` if there is no such cast, so that `env:prod` is a plain
/// string. persvr's casts to regular expressions are refused, because they would be compared as plain strings.
fn cast_as(cast: &str, text: &str) -> Option<Result<Value, &'static str>> {
    let time = |at: Option<Timestamp>, expected| at.map(|at| Value::Time(at, None)).ok_or(expected);
    Some(match cast {
        "string" => Ok(Value::Text(text.to_owned())),
        "number" => Number::parse(text).map(|number| Value::Number(number, None)).ok_or("a number"),
        "boolean" => text.parse().map(Value::Bool).map_err(|_| "true or false"),
        "date" => time(moment(text), "a date such as 2026-01-31T08:15:30.123Z"),
        "isodate" => time(partial_moment(text), "a date or its beginning, such as 2026-01"),
        "epoch" => {
            let at = text.parse().map(Timestamp::saturating_from_millis).ok();
            time(at, "a whole number of milliseconds since 1970")
        }
        "re" | "RE" | "glob" => Err("a pattern, which is not supported; use like(field,text)"),
        _ => return None,
    })
}

/// A plain number as a timestamp: JavaScript's milliseconds. Fewer than eleven digits are refused: they are more likely a
/// year, a day or seconds.
fn javascript_millis(text: &str) -> Option<Timestamp> {
    (text.len() >= 11).then(|| text.parse().ok()).flatten().map(Timestamp::saturating_from_millis)
}

/// A timestamp in the form of RFC 3339, of a date alone, without an offset (read as UTC, as persvr does), of JavaScript's
/// `Date`, or of RFC 9110. Times before 1970 or after 9999 are moved to the nearest one in range.
fn moment(text: &str) -> Option<Timestamp> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let iso = || {
        let written = Pieces::parse(text).ok()?;
        let shown = written.date().to_datetime(written.time().unwrap_or_default());
        Some(millis(shown, written.to_numeric_offset().unwrap_or(Offset::UTC)))
    };
    let javascript = || {
        let until_zone_name = text.split(" (").next().unwrap_or(text);
        let written = jiff::fmt::strtime::parse("%a %b %d %Y %H:%M:%S GMT%z", until_zone_name).ok()?;
        Some(millis(written.to_datetime().ok()?, written.offset()?))
    };
    let http = || jiff::fmt::rfc2822::parse(text).ok().map(|at| at.timestamp().as_millisecond());
    iso().or_else(javascript).or_else(http).map(Timestamp::saturating_from_millis)
}

/// persvr's `isodate`: the beginning of a date; the rest is filled in.
fn partial_moment(text: &str) -> Option<Timestamp> {
    const REST: &str = "0000-01-01T00:00:00Z";
    let padded = format!("{text:0>4}");
    let rest = REST.get(padded.len()..).unwrap_or_default();
    moment(&format!("{padded}{rest}"))
}

fn once(word: Word<'_>) -> Result<String, Fault> {
    percent_decode_str(word.text)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|_| Fault::new(word.at, "the percent-encoding is not valid UTF-8"))
}

/// The second decoding. A word without valid encodings was encoded only once and is left unchanged.
fn again(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tasklane_model::json::Node;

    fn read_as(kind: FieldKind, text: &str) -> Result<Option<Value>, String> {
        let field = Field { name: "f", kind, optional: kind == FieldKind::Any };
        read(Word { at: 0, text }, field, "f").map_err(|fault| fault.message)
    }

    fn guessed(text: &str) -> Value {
        read_as(FieldKind::Any, text).unwrap().unwrap()
    }

    fn plain(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn numeric(text: &str) -> Value {
        Value::Number(Number::parse(text).unwrap(), None)
    }

    #[test]
    fn a_number_that_javascript_writes_differently_may_also_be_a_string() {
        assert_eq!(guessed("5"), numeric("5"));
        assert_eq!(guessed("-5"), numeric("-5"));
        assert_eq!(guessed("%252D0%252E25"), numeric("-0.25"));
        assert_eq!(guessed("1e%252B21"), numeric("1e21"));
        assert_eq!(guessed("1e+21"), numeric("1e21"));
        assert_eq!(guessed("1e-7"), numeric("1e-7"));
        for text in ["1e3", "5.0", "1e21", "1e-07", "-0", "0.10", "9007199254740993", "12345678901234567890123"] {
            assert_eq!(guessed(text), Value::Number(Number::parse(text).unwrap(), Some(text.to_owned())), "{text}");
        }
        assert_eq!(guessed("true"), Value::Bool(true));
        assert_eq!(guessed("null"), Value::Null);
        for text in ["007", "+5", ".5", "5.", "True", "NaN", "Infinity", "inf", ""] {
            assert_eq!(guessed(text), plain(text), "{text}");
        }
    }

    #[test]
    fn a_cast_sets_the_type_unless_it_is_encoded_twice() {
        assert_eq!(guessed("string:5"), plain("5"));
        assert_eq!(guessed("string%3A5"), plain("5"));
        assert_eq!(guessed("string%253A5"), plain("string:5"));
        assert_eq!(guessed("number:5.0"), numeric("5"));
        assert_eq!(guessed("boolean:false"), Value::Bool(false));
        assert_eq!(guessed("env:prod"), plain("env:prod"));
        let at = |text: &str| Value::Time(text.parse().unwrap(), None);
        assert_eq!(guessed("date:2026-01-31T09:15:30.5+01:00"), at("2026-01-31T08:15:30.500Z"));
        assert_eq!(guessed("epoch:1769847330123"), at("2026-01-31T08:15:30.123Z"));
        assert_eq!(guessed("isodate:2026"), at("2026-01-01T00:00:00.000Z"));
        assert_eq!(guessed("isodate:2026-03"), at("2026-03-01T00:00:00.000Z"));
        assert_eq!(guessed("isodate:2026-03-04T05"), at("2026-03-04T05:00:00.000Z"));
        for wrong in ["number:x", "number:", "boolean:1", "date:soon", "epoch:1.5", "isodate:é", "re:.*", "glob:a*"] {
            read_as(FieldKind::Any, wrong).unwrap_err();
        }
    }

    #[test]
    fn quotes_around_a_value_make_it_a_string_unless_they_are_encoded_twice() {
        assert_eq!(guessed("\"5\""), plain("5"));
        assert_eq!(guessed("%22mail_greeting%22"), plain("mail_greeting"));
        assert_eq!(guessed("%27a%2520b%27"), plain("a b"));
        assert_eq!(guessed("%2527a%2527"), plain("'a'"));
        assert_eq!(guessed("%22"), plain("\""));
    }

    #[test]
    fn a_string_that_was_encoded_only_once_is_read_correctly() {
        for (word, text) in [("two%20words", "two words"), ("%C3%A9", "é"), ("50%25", "50%"), ("a%28b%29", "a(b)")] {
            assert_eq!(guessed(word), plain(text), "{word}");
        }
        read_as(FieldKind::Any, "%FF").unwrap_err();
        assert_eq!(guessed("%25FF"), plain("%FF"));
    }

    #[test]
    fn types_are_not_guessed_in_a_field_of_strings() {
        for text in ["5", "true", "null", "2026-01-31"] {
            assert_eq!(read_as(FieldKind::Text, text), Ok(Some(plain(text))));
            assert_eq!(read_as(FieldKind::TextList, text), Ok(Some(plain(text))));
        }
        read_as(FieldKind::Text, "number:5").unwrap_err();
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        for (kind, word) in [
            (FieldKind::Number, "five"),
            (FieldKind::Number, "string:5"),
            (FieldKind::Number, "null"),
            (FieldKind::Timestamp, "soon"),
            (FieldKind::Timestamp, "2026"),
            (FieldKind::Timestamp, "number:1769847330123"),
            (FieldKind::Object, "x"),
        ] {
            let message = read_as(kind, word).unwrap_err();
            assert!(message.starts_with("'f' holds "), "{message}");
        }
        assert_eq!(read_as(FieldKind::Id, "no-id"), Ok(None));
    }

    #[test]
    fn a_timestamp_can_be_written_in_many_ways() {
        let expected: Timestamp = "2026-11-24T03:11:13.000Z".parse().unwrap();
        for written in [
            "2026-11-24T03:11:13Z",
            "2026-11-24T03:11:13.000Z",
            "2026-11-24T03:11:13",
            "2026-11-24T04:11:13+01:00",
            "1795489873000",
            "Tue Nov 24 2026 03:11:13 GMT+0000 (Coordinated Universal Time)",
            "Tue Nov 24 2026 04:11:13 GMT+0100 (Central European Standard Time)",
            "Tue, 24 Nov 2026 03:11:13 GMT",
        ] {
            let word = super::super::tests::encoded_twice(written);
            assert_eq!(read_as(FieldKind::Timestamp, &word), Ok(Some(Value::Time(expected, None))), "{written}");
        }
        for written in
            ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999", "253402300799999", "9999-12-31T23:59:59.999-12:00"]
        {
            let word = super::super::tests::encoded_twice(written);
            assert_eq!(
                read_as(FieldKind::Timestamp, &word),
                Ok(Some(Value::Time(Timestamp::LATEST, None))),
                "{written}"
            );
        }
        let javascript =
            read_as(FieldKind::Timestamp, "Fri Dec 31 9999 23:59:59 GMT+0000 (Coordinated Universal Time)");
        assert_eq!(javascript, Ok(Some(Value::Time("9999-12-31T23:59:59Z".parse().unwrap(), None))));
        let early = Value::Time(Timestamp::EPOCH, None);
        assert_eq!(read_as(FieldKind::Timestamp, "1960-01-01"), Ok(Some(early)));
    }

    #[test]
    fn a_guessed_timestamp_still_equals_its_text() {
        let value = guessed("2026-01-31T08:15:30Z");
        let order = |text: &str| value.order(&Node::String(text.into()));
        assert_eq!(order("2026-01-31T09:15:30.000+01:00"), Some(std::cmp::Ordering::Equal));
        assert_eq!(order("2025-12-31"), Some(std::cmp::Ordering::Less));
        assert_eq!(order("zebra"), Some(std::cmp::Ordering::Greater));
    }
}
