//! Names of types, and of the fields in them.

use std::collections::BTreeSet;

/// The names that are taken in one file.
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Without the file's own.
    pub(super) fn new(reserved: &[&str]) -> Self {
        Self(reserved.iter().map(|name| (*name).to_owned()).collect())
    }

    /// This name, or, if it is taken, with the next free number behind it.
    pub(super) fn unique(&mut self, name: String) -> String {
        let numbered = (2..).map(|number| format!("{name}{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|one| !self.0.contains(one)).unwrap_or(name);
        self.0.insert(free.clone());
        free
    }

    /// Whether all of these names are free.
    pub(super) fn are_free(&self, names: &[String]) -> bool {
        names.iter().all(|name| !self.0.contains(name))
    }
}

/// `order-mail` as `OrderMail`: letters and digits in words that begin with a capital letter.
pub(super) fn pascal(text: &str) -> String {
    let mut name = String::new();
    for word in text.split(|one: char| !one.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let (first, rest) = word.split_at(1);
        name.push_str(&first.to_ascii_uppercase());
        name.push_str(rest);
    }
    if name.is_empty() || name.starts_with(|one: char| one.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// Whether a field can be written without quotes in TypeScript, and in a class of Python if it is no word of the language.
pub(super) fn is_identifier(name: &str) -> bool {
    name.starts_with(|one: char| one.is_ascii_alphabetic() || one == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A string in quotes, which both languages read in the same way.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for one in text.chars() {
        match one {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            one if u32::from(one) < 0x20 || matches!(u32::from(one), 0x7f..=0x9f | 0x2028 | 0x2029 | 0xfeff) => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(one)));
            }
            one => quoted.push(one),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers_and_each_is_used_once() {
        for (text, name) in [
            ("order-mail", "OrderMail"),
            ("order_mail", "OrderMail"),
            ("orderMail", "OrderMail"),
            ("a", "A"),
            ("2x", "_2x"),
            ("--", "_"),
            ("größe", "GrE"),
        ] {
            assert_eq!(pascal(text), name);
        }
        let mut names = Names::new(&["Functions"]);
        let unique = ["A", "A", "A2", "Functions"].map(|name| names.unique(name.to_owned()));
        assert_eq!(unique, ["A", "A2", "A22", "Functions2"]);
        assert!(names.are_free(&["B".to_owned()]) && !names.are_free(&["B".to_owned(), "A".to_owned()]));
    }

    #[test]
    fn a_quoted_string_stays_one_string() {
        assert_eq!(quoted("a\"b\\\n\u{2028}é"), r#""a\"b\\\u000a\u2028é""#);
    }
}
