//! Parsed JSON.

use std::borrow::Cow;

use serde_json::Value;

use super::scan::{Scanner, unescape};

/// A parsed value. Unlike `serde_json::Value` it can hold all JSON: numbers as they were written, and strings with lone
/// surrogates, as U+FFFD.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    /// `null`, and values beyond the maximum depth.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(&'a str),
    /// A string.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Node<'a>>),
    /// An object.
    Object(Fields<'a>),
}

/// The fields of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

/// The maximum depth, which is that of `serde_json`.
const DEEPEST: usize = 128;

impl<'a> Node<'a> {
    /// Parses a string that is known to be JSON.
    pub(super) fn of(text: &'a str) -> Self {
        Self::read(&mut Scanner::new(text), DEEPEST)
    }

    /// Parses only the wanted fields of an object that is known to be JSON; null if it is not an object.
    pub(super) fn of_fields(text: &'a str, wanted: impl Fn(&str) -> bool) -> Self {
        let mut fields = Vec::new();
        for (name, value) in super::scan::fields(text) {
            let name = unescape(name);
            if wanted(&name) {
                fields.push((name, Self::read(&mut Scanner::new(value), DEEPEST - 1)));
            }
        }
        if text.starts_with('{') { Self::Object(Fields::new(fields)) } else { Self::Null }
    }

    fn read(scanner: &mut Scanner<'a>, depth: usize) -> Self {
        match scanner.peek() {
            Some(b'"') => Self::String(unescape(scanner.string())),
            Some(b'{' | b'[') if depth == 0 => {
                scanner.value();
                Self::Null
            }
            Some(b'{') => {
                scanner.take(b'{');
                let mut fields = Vec::new();
                while scanner.peek() == Some(b'"') {
                    let name = unescape(scanner.string());
                    scanner.take(b':');
                    fields.push((name, Self::read(scanner, depth - 1)));
                    scanner.take(b',');
                }
                scanner.take(b'}');
                Self::Object(Fields::new(fields))
            }
            Some(b'[') => {
                scanner.take(b'[');
                let mut elements = Vec::new();
                while !matches!(scanner.peek(), None | Some(b']')) {
                    elements.push(Self::read(scanner, depth - 1));
                    scanner.take(b',');
                }
                scanner.take(b']');
                Self::Array(elements)
            }
            Some(_) | None => match scanner.value() {
                "true" => Self::Bool(true),
                "false" => Self::Bool(false),
                "null" | "" => Self::Null,
                number => Self::Number(number),
            },
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// The field of that name, if it is an object that has one.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(name),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Array(_) => None,
        }
    }

    /// The same text for every notation of a value: the order of fields, white space and how a number is written make no
    /// difference.
    pub(crate) fn canonical(&self) -> String {
        let mut text = String::new();
        self.put_canonical(&mut text);
        text
    }

    fn put_canonical(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Number(number) => out.push_str(&super::number::canonical(number)),
            Self::String(text) => put_string(text, out),
            Self::Array(elements) => {
                out.push('[');
                for element in elements {
                    element.put_canonical(out);
                    out.push(',');
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (name, value) in fields.distinct() {
                    put_string(name, out);
                    value.put_canonical(out);
                    out.push(',');
                }
                out.push('}');
            }
        }
    }

    /// Converts it to a [`Value`]; a number that is out of range, such as `1e999`, becomes null.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(text) => to_number(text).map_or(Value::Null, Value::Number),
            Self::String(text) => Value::String(text.clone().into_owned()),
            Self::Array(elements) => elements.iter().map(Self::to_value).collect(),
            Self::Object(Fields(fields)) => {
                fields.iter().map(|(name, value)| (name.clone().into_owned(), value.to_value())).collect()
            }
        }
    }
}

/// In quotes, so that no two texts with others around them look alike.
fn put_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

/// The number, or the nearest double.
fn to_number(text: &str) -> Option<serde_json::Number> {
    let whole = text.parse::<i64>().map(Into::into).or_else(|_| text.parse::<u64>().map(Into::into));
    whole.ok().or_else(|| serde_json::Number::from_f64(text.parse().ok()?))
}

impl<'a> Fields<'a> {
    fn new(mut fields: Vec<(Cow<'a, str>, Node<'a>)>) -> Self {
        // A filter may ask for many of them.
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self(fields)
    }

    /// The fields in the order of their names; of several with one name, the last one.
    pub(crate) fn distinct(&self) -> impl Iterator<Item = (&str, &Node<'a>)> {
        let is_last = |place: usize| self.0.get(place + 1).is_none_or(|(next, _)| *next != self.0[place].0);
        let fields = self.0.iter().enumerate().filter(move |(place, _)| is_last(*place));
        fields.map(|(_, (name, value))| (&**name, value))
    }

    /// The field of that name; the last one of several.
    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        let after = self.0.partition_point(|(own, _)| **own <= *name);
        let (found, value) = self.0.get(after.checked_sub(1)?)?;
        (found == name).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_that_other_parsers_reject_keep_their_neighbours() {
        let read = Node::of(r#"{"a":[1,1e999,{"b":2}],"c":"x\ud83d","\ude00":1}"#);
        assert_eq!(read.to_value(), json!({"a": [1, null, {"b": 2}], "c": "x\u{FFFD}", "\u{FFFD}": 1}));
        let Some(Node::Array(elements)) = read.get("a") else { panic!("{read:?}") };
        assert_eq!(elements[1], Node::Number("1e999"));
        let deep = format!("{{\"deep\":{}{},\"a\":1}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(Node::of(&deep).get("a"), Some(&Node::Number("1")));
    }

    #[test]
    fn doubles_keep_every_digit() {
        for text in
            ["0.9157037119440723", "117.63331139400017", "0.42451918914251396", "1.0", "-5", "18446744073709551615"]
        {
            assert_eq!(Node::of(text).to_value().to_string(), text);
        }
    }

    #[test]
    fn the_last_of_two_fields_with_one_name_wins() {
        let read = Node::of(r#"{"b":1,"a":1,"\u0061":{"x":[]},"c":3}"#);
        assert_eq!(read.get("a").and_then(|a| a.get("x")), Some(&Node::Array(Vec::new())));
        assert_eq!(read.get("d"), None);
        let partly = Node::of_fields(r#"{"b":1,"a":1,"a":2}"#, |name| name == "a");
        assert_eq!((partly.get("a"), partly.get("b")), (Some(&Node::Number("2")), None));
    }
}
