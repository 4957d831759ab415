//! Regular expressions of schemas: the dialect of JavaScript, searched in linear time.
//!
//! `regex-lite` has no Unicode tables, and is in the program anyway. It knows no look-around and no back references, which
//! need backtracking, and no `\p{…}`.

use regex_lite::{Regex, RegexBuilder};

/// A regular expression.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    source: String,
    /// How much work one character of a text takes.
    weight: u64,
}

/// The sizes that a compiled expression may have, in bytes. Searching takes time in proportion to it.
const SIZES: [usize; 4] = [2 << 10, 8 << 10, 32 << 10, 128 << 10];

/// How deep the groups of an expression may nest.
const MAX_NESTING: u32 = 50;

/// What JavaScript's `\s` matches, within brackets.
const SPACE: &str = r"\t\n\x0B\f\r \u{A0}\u{1680}\u{2000}-\u{200A}\u{2028}\u{2029}\u{202F}\u{205F}\u{3000}\u{FEFF}";

impl Pattern {
    /// Reads an expression.
    ///
    /// # Errors
    /// The rule, phrased to follow the place.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        let translated = translate(source);
        let build = |size: usize| RegexBuilder::new(&translated).size_limit(size).nest_limit(MAX_NESTING).build();
        let built = SIZES.iter().find_map(|size| build(*size).ok().map(|regex| (regex, *size)));
        let (regex, size) = match built {
            Some(built) => built,
            None => {
                let why = build(SIZES[SIZES.len() - 1]).err().map_or_else(String::new, |error| error.to_string());
                return Err(format!(
                    "must be a regular expression without look-around, back references and \\p, and not too large ({why})"
                ));
            }
        };
        Ok(Self { regex, source: source.to_owned(), weight: size as u64 / 512 })
    }

    /// Whether some part of the text matches.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// How much work it is to search the text.
    pub(super) fn work(&self, text: &str) -> u64 {
        (text.len() as u64 + 1).saturating_mul(self.weight)
    }

    /// How much memory it takes, in the units of its work.
    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    /// The expression as it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.source
    }
}

/// Writes an expression of JavaScript as `regex-lite` reads it.
fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source.chars();
    let mut in_class = false;
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next() {
                Some('s') if in_class => out.push_str(SPACE),
                Some('s') => out.push_str(&format!("[{SPACE}]")),
                Some('S') if !in_class => out.push_str(&format!("[^{SPACE}]")),
                Some('0') => out.push_str(r"\x00"),
                Some('c') => {
                    let control = rest.next().filter(char::is_ascii_alphabetic).map(|letter| letter as u32 % 32);
                    out.push_str(&control.map_or_else(|| r"\c".to_owned(), |code| format!("\\x{code:02X}")));
                }
                // Backspace in brackets, and signs that mean something else after a backslash.
                Some('b') if in_class => out.push_str(r"\x08"),
                Some(sign @ ('<' | '>' | '/')) => out.push(sign),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                let mut ahead = rest.clone();
                let is_negated = ahead.next() == Some('^');
                if is_negated {
                    rest = ahead;
                }
                // JavaScript ends an empty class here: it is nothing, and its opposite is everything.
                out.push_str(match (rest.clone().next(), is_negated) {
                    (Some(']'), true) => r"[\s\S",
                    (Some(']'), false) => r"[^\s\S",
                    (_, true) => "[^",
                    (_, false) => "[",
                });
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            '[' | '&' | '~' if in_class => out.extend(['\\', character]),
            '.' if !in_class => out.push_str(r"[^\n\r\u{2028}\u{2029}]"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_mean_what_they_mean_in_javascript() {
        for (pattern, text, is_in) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١", false),
            (r"^\w$", "é", false),
            (r"^\S$", "é", true),
            (r"^[\s]$", "\u{a0}", true),
            (r"^\s$", "\u{feff}", true),
            (r"^.$", "\r", false),
            (r"^.$", "😀", true),
            (r"^[a-z&[\]]+$", "a&[]", true),
            (r"^a\/b\-c$", "a/b-c", true),
            (r"^\cA\0$", "\u{1}\u{0}", true),
            (r"^\u00e9$", "é", true),
            (r"^[^]$", "x", true),
            (r"[]", "x", false),
            (r"b", "abc", true),
            (r"^a$", "a\n", false),
            (r"^(?:a|b){2,3}$", "aba", true),
        ] {
            assert_eq!(Pattern::parse(pattern).map(|found| found.is_in(text)), Ok(is_in), "{pattern} {text:?}");
        }
    }

    #[test]
    fn what_needs_backtracking_or_too_much_memory_is_refused() {
        for pattern in [r"(?=a)b", r"(?!a)", r"(a)\1", r"\p{L}", "(", "(((a{1000}){1000}){1000}){1000}", "a{2,1}"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::parse(&"(".repeat(10_000)).is_err());
    }
}
