//! JSON as people read it.

use maud::{Markup, html};
use tasklane_model::Json;

use super::text::{clean, count, cut};

/// How much is shown. The rest is one command away.
const MOST_CHARS: usize = 60_000;

/// JSON, indented, with each number and string as it was written.
pub(crate) fn json(json: &Json, label: &str) -> Markup {
    let text = indented(json.as_str());
    let is_cut = text.len() > MOST_CHARS;
    html! {
        pre.json tabindex="0" aria-label=(label) { (clean(&cut(&text, MOST_CHARS))) }
        @if is_cut { p.note { "Only the beginning of " (count(text.len() as u64, true)) " bytes is shown." } }
    }
}

/// JSON for a field in which it is edited: the same value, with what would turn the direction of the text written as escapes.
pub(crate) fn editable(json: &Json) -> String {
    let mut text = String::new();
    for char in indented(json.as_str()).chars() {
        match char {
            '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{61c}'
            | '\u{7f}'..='\u{9f}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            char => text.push(char),
        }
    }
    text
}

/// Adds line breaks and indents between the tokens.
pub(crate) fn indented(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if in_string {
            out.push(char);
            (in_string, escaped) = (escaped || char != '"', !escaped && char == '\\');
            continue;
        }
        match char {
            ' ' | '\n' | '\r' | '\t' => {}
            '"' => {
                in_string = true;
                out.push(char);
            }
            '{' | '[' => {
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                out.push(char);
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(char);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            char => out.push(char),
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    // What is nested deeper than anybody reads is not indented further.
    out.push_str(&"  ".repeat(depth.min(20)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kept_as_they_were_written() {
        let text = r#"{"a":[1.0,{}, [ ] ],"b\"{":"x, y: \\"}"#;
        assert_eq!(indented(text), "{\n  \"a\": [\n    1.0,\n    {},\n    []\n  ],\n  \"b\\\"{\": \"x, y: \\\\\"\n}");
        let json = Json::parse("\"a\u{202e}ü\"".to_owned()).unwrap();
        assert_eq!(editable(&json), "\"a\\u202eü\"");
        assert_eq!(indented("12345678901234567890"), "12345678901234567890");
    }
}
