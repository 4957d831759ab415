//! Strings of callers and Functions, cut to a bounded length.

/// The beginning of a string from a caller: as much of it as an error message may quote.
pub fn shorten(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}

/// The string, or its beginning and an ellipsis, in at most `most` bytes.
pub(super) fn cut_short(text: &str, most: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most - ELLIPSIS.len()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{ELLIPSIS}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_cut_between_characters_and_only_when_they_are_too_long() {
        for (text, most, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "…"),
            ("abcdef", 5, "ab…"),
            ("aéé", 5, "aéé"),
            ("aééé", 5, "a…"),
            ("", 3, ""),
        ] {
            assert_eq!(cut_short(text, most), expected);
        }
    }

    #[test]
    fn a_quoted_string_keeps_64_characters() {
        assert_eq!(shorten("short"), "short");
        assert_eq!(shorten(&"é".repeat(65)), "é".repeat(64));
    }
}
