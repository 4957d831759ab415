//! The values that a query compares fields with.

use std::cmp::Ordering;

use serde_json::{Number, Value as Json};

use crate::model::{ObjectId, Timestamp};

/// A value of a query, read as what it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`: equal to `null`, and to a field that is absent.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number: compared with numbers only, as MongoDB does.
    Number(Number),
    /// A text: compared with texts only, by its bytes.
    Text(String),
    /// A moment: compared with texts that name one, however they write it. A value that was only guessed to be one
    /// keeps its text, and that is compared with every other text.
    Time(Timestamp, Option<String>),
    /// An id: compared with texts that are one.
    Id(ObjectId),
}

impl Value {
    /// How a value of a record stands to this one; `None` when they cannot be compared.
    pub fn order(&self, found: &Json) -> Option<Ordering> {
        match (self, found) {
            (Self::Null, Json::Null) => Some(Ordering::Equal),
            (Self::Bool(wanted), Json::Bool(found)) => Some(found.cmp(wanted)),
            (Self::Number(wanted), Json::Number(found)) => compare_numbers(found, wanted),
            (Self::Text(wanted), Json::String(found)) => Some(found.as_str().cmp(wanted)),
            (Self::Time(wanted, text), Json::String(found)) => match (found.parse::<Timestamp>(), text) {
                (Ok(found), _) => Some(found.cmp(wanted)),
                (Err(_), Some(text)) => Some(found.as_str().cmp(text)),
                (Err(_), None) => None,
            },
            (Self::Id(wanted), Json::String(found)) => found.parse::<ObjectId>().ok().map(|found| found.cmp(wanted)),
            (
                Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Time(..) | Self::Id(_),
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_),
            ) => None,
        }
    }
}

/// Compares numbers exactly when both are whole, else as floating point numbers.
pub(super) fn compare_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}
