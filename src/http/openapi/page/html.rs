//! Hand-written HTML, with the one rule that matters: text is escaped.

use std::fmt::{self, Display};

/// A string that prints escaped; back ticks become `<code>`.
pub struct Text<'a>(pub &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.split('`').enumerate() {
            if index % 2 == 1 {
                write!(f, "<code>{}</code>", Escaped(part))?;
            } else {
                write!(f, "{}", Escaped(part))?;
            }
        }
        Ok(())
    }
}

/// A string that prints escaped.
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

/// A string that prints as escaped paragraphs; empty lines separate them.
pub struct Paragraphs<'a>(pub &'a str);

impl Display for Paragraphs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .split("\n\n")
            .filter(|text| !text.trim().is_empty())
            .try_for_each(|text| write!(f, "<p>{}</p>", Text(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_inside_code_is_escaped() {
        assert_eq!(Text("a <b> `c & \"d\"` e").to_string(), "a &lt;b&gt; <code>c &amp; &quot;d&quot;</code> e");
        assert_eq!(Paragraphs("a\n\nb").to_string(), "<p>a</p><p>b</p>");
    }
}
