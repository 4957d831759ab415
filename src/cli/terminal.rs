//! Makes untrusted text safe for a terminal: a Function's logs, an error, a stored record.
//!
//! Control characters make a terminal move its cursor, change its title, or type into the shell. Characters that change
//! the direction of text make one command look like another. All of them are replaced, except colors.

use std::{borrow::Cow, iter::Peekable, str::Chars};

/// Text for a terminal. Lines, tabs and colors (SGR) stay; every other control character is replaced with a visible one.
/// Colors end with their line. A carriage return also ends a line.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c == '\u{1b}' || c == '\r' || is_acted_upon(c)) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<_> = lines(text).map(line).collect();
    Cow::Owned(lines.join("\n"))
}

/// The lines of a text; `\n`, `\r\n` and `\r` are line ends.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).flat_map(|line| line.split('\r'))
}

/// Equivalent JSON in which every control character is escaped.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_acted_upon) {
        return Cow::Borrowed(text);
    }
    // They occur only in strings: elsewhere JSON has no such characters.
    let escaped = text.chars().fold(String::with_capacity(text.len() + 32), |mut escaped, c| {
        match is_acted_upon(c) {
            true => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => escaped.push(c),
        }
        escaped
    });
    Cow::Owned(escaped)
}

/// Whether a terminal interprets the character: C0 except line ends and tabs, DEL, C1, and characters that change the
/// direction of text or break lines.
pub(super) fn is_acted_upon(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // Marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX #9), and Unicode's own line ends.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

/// One line.
fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut colored = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}'
            && let Some(parameters) = color(&rest)
        {
            safe.push_str("\u{1b}[");
            safe.push_str(&parameters);
            safe.push('m');
            // The bracket, the parameters (ASCII), the final letter.
            rest.by_ref().take(parameters.len() + 2).for_each(drop);
            colored = !matches!(parameters.as_str(), "" | "0");
        } else {
            safe.push(visible(c));
        }
    }
    if colored {
        safe.push_str("\u{1b}[0m");
    }
    safe
}

/// The parameters of the color sequence (`[…m`) at this position, if there is one.
fn color(rest: &Peekable<Chars<'_>>) -> Option<String> {
    const LONGEST: usize = 64;
    let mut rest = rest.clone();
    rest.next_if_eq(&'[')?;
    let mut parameters = String::new();
    while let Some(c) = rest.next_if(|c| c.is_ascii_digit() || matches!(c, ';' | ':')) {
        parameters.push(c);
        if parameters.len() > LONGEST {
            return None;
        }
    }
    rest.next_if_eq(&'m').map(|_| parameters)
}

/// A visible character that replaces a control character.
fn visible(c: char) -> char {
    match c {
        c if !is_acted_upon(c) => c,
        '\u{7f}' => '␡',
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        _ => '\u{fffd}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_stay_and_end_with_their_line() {
        for text in ["plain\ttext\nof ünïcode 🚀", "\u{1b}[31mred\u{1b}[0m", "\u{1b}[1;38;5;12mx\u{1b}[m", ""] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(shown("\u{1b}[31mred\nplain"), "\u{1b}[31mred\u{1b}[0m\nplain");
        assert_eq!(shown("\u{1b}[38:2::1:2:3mred"), "\u{1b}[38:2::1:2:3mred\u{1b}[0m");
    }

    #[test]
    fn nothing_else_reaches_a_terminal() {
        assert_eq!(shown("\u{1b}]0;pwned\u{7}x"), "␛]0;pwned␇x", "the title");
        assert_eq!(shown("\u{1b}[2J\u{1b}[H\u{1b}c"), "␛[2J␛[H␛c", "clearing the screen");
        assert_eq!(shown("\u{9b}31mC1\u{9d}0;x\u{9c}"), "\u{fffd}31mC1\u{fffd}0;x\u{fffd}");
        assert_eq!(shown("a\u{202e}b\u{2066}c\u{200f}d"), "a\u{fffd}b\u{fffd}c\u{fffd}d");
        assert_eq!(shown("\u{1b}[31\u{1b}[31mx"), "␛[31\u{1b}[31mx\u{1b}[0m", "a sequence within another");
        assert_eq!(shown(&format!("\u{1b}[{}m", "1;".repeat(100))).matches('\u{1b}').count(), 0);
        assert_eq!(shown("x\u{8}\u{7f}"), "x␈␡");
        for c in (0..0x300).chain(0x2000..0x2100).filter_map(char::from_u32) {
            let text = format!("a{c}b");
            let allowed = |c: char| !is_acted_upon(c);
            assert!(shown(&text).chars().all(allowed) && json(&text).chars().all(allowed), "{c:?}");
        }
    }

    #[test]
    fn a_carriage_return_ends_a_line() {
        assert_eq!(lines("a\r\nb\rc\n").collect::<Vec<_>>(), ["a", "b", "c", ""]);
        assert_eq!(shown("real\rfake"), "real\nfake");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "a": "\u{9b}31m\u{7f}\u{202e}\u{2028} ü 🚀 \u{1b}" });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let escaped = json(&text);
        assert!(escaped.contains("\\u009b31m\\u007f\\u202e\\u2028 ü 🚀 \\u001b"), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
