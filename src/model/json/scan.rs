//! Scans valid JSON without changing any of it.
//!
//! The input always comes from a [`super::Json`], which was parsed before: brackets match and strings end. Nothing
//! recurses, because JSON may nest without a limit.

use std::borrow::Cow;

/// A position in JSON.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Peeks at the next byte that is not white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Skips the next byte that is not white space, if it is this one.
    pub(super) fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// The next value, as it was written.
    pub(super) fn value(&mut self) -> &'a str {
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'"') => return self.string(),
            Some(b'{' | b'[') => self.skip_nested(),
            Some(_) | None => {
                let rest = &self.text.as_bytes()[start..];
                let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\r' | b'\n');
                self.at = start + rest.iter().position(ends).unwrap_or(rest.len());
            }
        }
        &self.text[start..self.at]
    }

    /// The next string, with its quotes.
    pub(super) fn string(&mut self) -> &'a str {
        self.peek();
        let start = self.at;
        self.skip_string();
        &self.text[start..self.at]
    }

    fn skip_string(&mut self) {
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return;
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at = bytes.len();
    }

    fn skip_nested(&mut self) {
        let bytes = self.text.as_bytes();
        let mut depth = 0_usize;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.skip_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }
}

/// The same JSON without white space between its parts.
pub fn compact(text: &str) -> String {
    let mut scanner = Scanner::new(text);
    let mut compact = String::with_capacity(text.len());
    while let Some(byte) = scanner.peek() {
        match byte {
            b'"' => compact.push_str(scanner.string()),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => {
                scanner.take(byte);
                compact.push(char::from(byte));
            }
            _ => compact.push_str(scanner.value()),
        }
    }
    compact
}

/// How deep the JSON nests.
pub fn depth(text: &str) -> usize {
    let mut scanner = Scanner::new(text);
    let (mut depth, mut deepest) = (0_usize, 0);
    while let Some(byte) = scanner.peek() {
        match byte {
            b'"' => {
                scanner.string();
            }
            b'{' | b'[' => {
                scanner.take(byte);
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => {
                scanner.take(byte);
                depth = depth.saturating_sub(1);
            }
            b',' | b':' => {
                scanner.take(byte);
            }
            _ => {
                scanner.value();
            }
        }
    }
    deepest
}

/// The fields of an object in order, each as its name with quotes and its value as it was written; empty if it is not an
/// object. A name may occur twice.
pub fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut scanner = Scanner::new(text);
    let mut within = scanner.take(b'{');
    std::iter::from_fn(move || {
        scanner.take(b',');
        within &= scanner.peek() == Some(b'"');
        within.then(|| {
            let name = scanner.string();
            scanner.take(b':');
            (name, scanner.value())
        })
    })
}

/// The elements of an array in order, as they were written; empty if it is not an array.
pub fn elements(text: &str) -> impl Iterator<Item = &str> {
    let mut scanner = Scanner::new(text);
    let mut within = scanner.take(b'[');
    std::iter::from_fn(move || {
        scanner.take(b',');
        within &= !matches!(scanner.peek(), None | Some(b']'));
        within.then(|| scanner.value())
    })
}

/// The contents of a JSON string. A lone surrogate, which JSON can express and UTF-8 cannot, becomes U+FFFD (RFC 8259 §8.2).
pub fn unescape(string: &str) -> Cow<'_, str> {
    let inner = string.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(string);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((before, escaped)) = rest.split_once('\\') {
        text.push_str(before);
        let (character, length) = escape(escaped);
        text.push(character);
        rest = &escaped[length..];
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character of an escape sequence, and its length in bytes after the backslash.
fn escape(escaped: &str) -> (char, usize) {
    let plain = |character| (character, 1);
    match escaped.as_bytes().first() {
        Some(b'b') => plain('\u{8}'),
        Some(b'f') => plain('\u{c}'),
        Some(b'n') => plain('\n'),
        Some(b'r') => plain('\r'),
        Some(b't') => plain('\t'),
        Some(b'u') => {
            let Some(unit) = code_unit(escaped) else { return (char::REPLACEMENT_CHARACTER, escaped.len()) };
            let pair = (0xD800..0xDC00).contains(&unit).then(|| code_unit(escaped[5..].strip_prefix('\\')?)).flatten();
            match pair.and_then(|low| char::decode_utf16([unit, low]).next()?.ok().filter(|_| low >= 0xDC00)) {
                Some(character) => (character, 11),
                None => (char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER), 5),
            }
        }
        Some(_) | None => {
            let character = escaped.chars().next();
            (character.unwrap_or(char::REPLACEMENT_CHARACTER), character.map_or(0, char::len_utf8))
        }
    }
}

/// The four digits after a `u`.
fn code_unit(escaped: &str) -> Option<u16> {
    u16::from_str_radix(escaped.strip_prefix('u')?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn fields_and_elements_are_kept_as_they_were_written() {
        let object = r#" { "a" : 1.50 ,"b\"}":[1,{"x":"]"}],"a":"\\" , "c":{} } "#;
        let found: Vec<_> = fields(object).collect();
        assert_eq!(
            found,
            [("\"a\"", "1.50"), (r#""b\"}""#, r#"[1,{"x":"]"}]"#), ("\"a\"", r#""\\""#), ("\"c\"", "{}")]
        );
        let found: Vec<_> = elements(" [ 1e999,\"a,b\" , [ ] ,null]").collect();
        assert_eq!(found, ["1e999", "\"a,b\"", "[ ]", "null"]);
        for (text, none) in [("{}", true), ("[ ]", true), ("1", true), ("\"{\"", true), ("null", true)] {
            assert_eq!(fields(text).next().is_none() && elements(text).next().is_none(), none, "{text}");
        }
        let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(elements(&deep).map(str::len).collect::<Vec<_>>(), [200_000]);
    }

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        for (string, text) in [
            (r#""\ud83d\ude00""#, "\u{1F600}"),
            (r#""a\ud83d""#, "a\u{FFFD}"),
            (r#""\ude00b""#, "\u{FFFD}b"),
            (r#""\ud83dx\ude00""#, "\u{FFFD}x\u{FFFD}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{FFFD}\u{1F600}"),
            (r#""\ud83d\n""#, "\u{FFFD}\n"),
            (r#""\ud83d\u0041""#, "\u{FFFD}A"),
            (r#""\ud83dé""#, "\u{FFFD}é"),
        ] {
            assert_eq!(unescape(string), text, "{string}");
        }
    }

    proptest! {
        #[test]
        fn strings_have_the_value_that_another_parser_reads(text in any::<String>(), escaped in "(\\\\[bfnrt\"\\\\/]|\\\\u00[0-7][0-9a-fA-F]|[ -!#-\\[\\]-~é])*") {
            let written = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(unescape(&written), text);
            let string = format!("\"{escaped}\"");
            let read: String = serde_json::from_str(&string).unwrap();
            prop_assert_eq!(unescape(&string), read);
        }

        #[test]
        fn parts_parse_to_the_same_values_as_the_whole(keys in proptest::collection::vec(any::<String>(), 0..5), numbers in any::<Vec<i64>>()) {
            let value = serde_json::json!({ "keys": keys.clone(), "numbers": numbers, "x": { "y": [keys, []] } });
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let read: serde_json::Map<String, Value> =
                    fields(&text).map(|(name, value)| (unescape(name).into_owned(), serde_json::from_str(value).unwrap())).collect();
                prop_assert_eq!(&Value::Object(read), &value);
                let (_, keys) = fields(&text).next().unwrap();
                let read: Vec<Value> = elements(keys).map(|element| serde_json::from_str(element).unwrap()).collect();
                prop_assert_eq!(&Value::Array(read), &value["keys"]);
            }
        }
    }
}
