//! Text that strangers wrote, and times, as people read them.

use std::time::Duration;

use maud::{Markup, html};
use tasklane_model::Timestamp;

use crate::app::App;

/// The text without a terminal's colors, with other control characters made visible, and without characters that turn the
/// direction of what follows. maud escapes what HTML gives a meaning.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        if let Some(after) = after_color(rest) {
            rest = after;
            continue;
        }
        clean.push(visible(char));
        rest = &rest[char.len_utf8()..];
    }
    clean
}

/// What follows a sequence such as `ESC [ 1 ; 31 m`, if the text begins with one.
fn after_color(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\x1b[")?;
    parameters.trim_start_matches(|char: char| char.is_ascii_digit() || char == ';').strip_prefix('m')
}

fn visible(char: char) -> char {
    match char {
        '\n' | '\t' => char,
        // The pictures of the control characters, in their order.
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(char)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        '\u{200e}' | '\u{200f}' | '\u{61c}' => '\u{fffd}',
        char => char,
    }
}

/// The first characters of a text.
pub(crate) fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A name that somebody chose: on its own, so that its direction of writing changes nothing else, and short.
pub(crate) fn name(text: &str) -> Markup {
    let text = clean(text).replace(['\n', '\t'], " ");
    let short = cut(&text, 60);
    html! { bdi.name title=[(short != text).then(|| cut(&text, 300))] { (short) } }
}

/// A moment. Scripts turn it into the time of the viewer's zone.
pub(crate) fn time(at: Timestamp) -> Markup {
    html! { time datetime=(at) title=(format!("{at} (UTC)")) { (shown(at)) } }
}

/// A sentence of the service, in which moments are shown as everywhere else.
pub(crate) fn sentence(text: &str) -> Markup {
    let words = text.split_inclusive(' ').map(|word| {
        let bare = word.trim_end_matches([' ', '.', ',', ':', ';']);
        match bare.parse::<Timestamp>() {
            Ok(at) if bare.len() > 10 => html! { (time(at)) (word[bare.len()..]) },
            _ => html! { (clean(word)) },
        }
    });
    html! { @for word in words { (word) } }
}

/// A moment in a table: only the time if it is today, and without seconds otherwise.
pub(crate) fn brief(at: Timestamp) -> Markup {
    let (text, today) = (shown(at), shown(App::now()));
    let is_today = text.get(..10) == today.get(..10);
    let text = if is_today { text.get(11..) } else { text.get(..16) };
    html! { time datetime=(at) title=(format!("{at} (UTC)")) data-brief { (text.unwrap_or_default()) } }
}

/// A moment in UTC, to the second.
pub(crate) fn shown(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

/// A length of time.
pub(crate) fn duration(length: Duration) -> String {
    let millis = length.as_millis();
    let secs = length.as_secs();
    match secs {
        0 => format!("{millis} ms"),
        1..60 => format!("{}.{} s", secs, (millis % 1000) / 100),
        60..3600 => format!("{} min {} s", secs / 60, secs % 60),
        3600..86_400 => format!("{} h {} min", secs / 3600, secs % 3600 / 60),
        _ => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3600),
    }
}

/// A length of time, from a number of seconds that the service sent.
pub(crate) fn seconds(seconds: f64) -> String {
    duration(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default())
}

/// A count, which may be a lower bound.
pub(crate) fn count(count: u64, is_exact: bool) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if is_exact { grouped } else { format!("{grouped}+") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_harmless() {
        assert_eq!(clean("a\0\x1b[1;31mred\x1b[m\x1b[2J\u{202e}b\tü\n"), "a␀red␛[2J\u{fffd}b\tü\n");
        let html = name("<img src=x onerror=alert(1)>\n\"'").into_string();
        assert!(html.contains("&lt;img src=x") && !html.contains("<img"), "{html}");
        assert_eq!(cut("äöü", 2), "äö…");
        let long = name(&"x".repeat(400)).into_string();
        assert!(long.len() < 500, "{long}");
    }

    #[test]
    fn moments_in_a_sentence_are_moments() {
        let html = sentence("It is due at 2026-01-31T08:15:30.123Z. <b>").into_string();
        assert!(html.starts_with("It is due at <time datetime=\"2026-01-31T08:15:30.123Z\""), "{html}");
        assert!(html.ends_with(">2026-01-31 08:15:30</time>. &lt;b&gt;"), "{html}");
    }

    #[test]
    fn lengths_and_counts_are_short() {
        for (millis, text) in
            [(0, "0 ms"), (999, "999 ms"), (1250, "1.2 s"), (61_000, "1 min 1 s"), (3_700_000, "1 h 1 min")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        assert_eq!((count(1234567, true).as_str(), count(1000, false).as_str()), ("1,234,567", "1,000+"));
    }
}
