//! An error and its causes as text.

use std::error::Error;

/// The error and its causes in one line, each once: many errors repeat their cause in their own text.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        cause: Option<Box<Link>>,
    }

    fn chain(texts: &[&'static str]) -> Link {
        let (last, before) = texts.split_last().unwrap();
        let last = Link { text: last, cause: None };
        before.iter().rfold(last, |cause, text| Link { text, cause: Some(Box::new(cause)) })
    }

    #[test]
    fn each_cause_appears_once() {
        for (texts, said) in [
            (&["a"][..], "a"),
            (&["a", "b", "c"], "a: b: c"),
            (&["cannot do it: b", "b", "c"], "cannot do it: b: c"),
            (&["a", "b: c", "c"], "a: b: c"),
        ] {
            assert_eq!(with_causes(&chain(texts)), said);
        }
    }
}
