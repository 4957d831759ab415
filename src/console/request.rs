//! What the browser sends.

use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tasklane_model::ObjectId;

use crate::problem::Problem;

/// The most fields of a form or a query: a page of Tasks, each of them selected, and the form's own.
const MOST_FIELDS: usize = 1200;

/// Names and values of a query or a form, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn parse(text: &str) -> Self {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(MOST_FIELDS);
        Self(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(a, b)| (decode(a), decode(b))).collect(),
        )
    }

    /// The value, without surrounding space, if it is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).find(|value| !value.is_empty())
    }

    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.trim())
    }

    /// The same as a query, with some fields replaced; a value of `None` leaves a field out.
    pub(crate) fn with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let kept = self
            .0
            .iter()
            .filter(|(name, value)| !value.is_empty() && !changes.iter().any(|(changed, _)| changed == name));
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let new = changes.iter().filter_map(|(name, value)| value.map(|value| (*name, value)));
        query(kept.chain(new))
    }

    /// The value as JSON, if there is one.
    pub(crate) fn json(&self, name: &str) -> Result<Option<tasklane_model::Json>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let parsed = tasklane_model::Json::parse(text.to_owned());
        parsed.map(Some).map_err(|error| Problem::Invalid(format!("The field '{name}' is not JSON: {error}.")))
    }

    /// The value as something that is parsed, if there is one.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Problem::Invalid(format!("The field '{name}' must be {what}.")))
    }

    /// The value as something with a rule of its own, if there is one.
    pub(crate) fn by_its_rule<T: std::str::FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|rule: T::Err| Problem::Invalid(format!("The field '{name}' is wrong: {rule}.")))
    }

    /// The value as a number within bounds, if there is one.
    pub(crate) fn number<T: TryFrom<i64, Error: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(number) = self.parsed::<i64>(name, "a whole number")? else { return Ok(None) };
        T::try_from(number).map(Some).map_err(|rule| Problem::Invalid(format!("The field '{name}' {rule}.")))
    }

    /// A moment: with an offset, or without one as a browser's field writes it, in UTC.
    pub(crate) fn moment(&self, name: &str) -> Result<Option<tasklane_model::Timestamp>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let text = text.replace(' ', "T");
        let forms = [text.clone(), format!("{text}Z"), format!("{text}:00Z")];
        let parsed = forms.iter().find_map(|text| text.parse().ok());
        let wrong = || Problem::Invalid(format!("The field '{name}' must be a time such as 2026-01-31 08:15, in UTC."));
        parsed.map(Some).ok_or_else(wrong)
    }
}

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A query string.
pub(crate) fn query<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let encode = |text: &'a str| utf8_percent_encode(text, UNRESERVED).to_string();
    pairs.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
}

/// An id in a path; what is none is at no address.
pub(crate) fn id(text: &str) -> Result<ObjectId, Problem> {
    text.parse().map_err(|_| Problem::NoPage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_written_again() {
        let fields = Fields::parse("a=1+2&b=%C3%BC%26&a=x&c=&d");
        assert_eq!(
            (fields.get("a"), fields.get("b"), fields.get("c"), fields.get("d")),
            (Some("1 2"), Some("ü&"), None, None)
        );
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1 2", "x"]);
        assert_eq!(fields.with(&[("a", None), ("page", Some("2"))]), "b=%C3%BC%26&page=2");
    }

    #[test]
    fn there_are_bounds() {
        let fields = Fields::parse(&"a=1&".repeat(5000));
        assert_eq!(fields.all("a").count(), MOST_FIELDS);
    }

    #[test]
    fn a_moment_may_be_what_a_browser_writes() {
        let moment =
            |text: &str| Fields::parse(&format!("at={text}")).moment("at").map(|at| at.map(|at| at.to_string()));
        for text in [
            "2026-01-31T08:15",
            "2026-01-31+08:15",
            "2026-01-31T08:15:00",
            "2026-01-31T08:15:00.000Z",
            "2026-01-31T09:15:00%2B01:00",
        ] {
            assert_eq!(moment(text).unwrap().as_deref(), Some("2026-01-31T08:15:00.000Z"), "{text}");
        }
        assert_eq!(moment("").unwrap(), None);
        assert!(moment("noon").is_err());
    }
}
