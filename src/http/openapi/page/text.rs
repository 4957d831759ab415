//! Text of the document, as HTML. maud escapes it.

use maud::{Markup, html};

/// The text; what stands between back ticks is code.
pub fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The text as paragraphs; empty lines separate them.
pub fn paragraphs(text: &str) -> Markup {
    html! {
        @for part in text.split("\n\n").filter(|part| !part.trim().is_empty()) { p { (prose(part)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_inside_and_outside_of_code() {
        let html = prose("a <b> `c & \"d\"` e").into_string();
        assert_eq!(html, "a &lt;b&gt; <code>c &amp; &quot;d&quot;</code> e");
        assert_eq!(paragraphs("a\n\nb").into_string(), "<p>a</p><p>b</p>");
    }
}
