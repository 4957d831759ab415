//! Values that some languages write and JSON cannot express.

/// Replaces each `NaN`, `Infinity` and `-Infinity` outside of strings with `null`.
pub(super) fn without_special_numbers(text: &str) -> String {
    let mut changed = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let special = ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| rest.starts_with(word));
        let length = match special {
            Some(word) => {
                changed.push_str("null");
                rest = &rest[word.len()..];
                continue;
            }
            None if rest.starts_with('"') => string_length(rest),
            None => rest.chars().next().map_or(0, char::len_utf8),
        };
        let (same, after) = rest.split_at(length);
        changed.push_str(same);
        rest = after;
    }
    changed
}

/// The length of the string at the beginning; the whole length if the string does not end.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => byte == b'"',
    });
    end.map_or(text.len(), |end| end + 2)
}
