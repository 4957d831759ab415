//! The values that a query compares fields with.

use std::cmp::Ordering;

use tasklane_model::{
    ObjectId, Timestamp,
    json::{Node, number::Number},
};

/// A value of a query, read as the type that it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`: equals `null` and an absent field.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, compared with numbers digit for digit. If its type was only guessed and JavaScript would write it with other
    /// characters, it keeps its text, which is compared with strings.
    Number(Number, Option<String>),
    /// A string, compared with strings only, by bytes.
    Text(String),
    /// A timestamp, compared with strings that are timestamps, in any notation. If its type was only guessed, it keeps its
    /// text, which is compared with all other strings.
    Time(Timestamp, Option<String>),
    /// An id, compared with strings that are ids.
    Id(ObjectId),
}

impl Value {
    /// How a value of a record compares with this one; `None` if they cannot be compared.
    pub fn order(&self, found: &Node<'_>) -> Option<Ordering> {
        match (self, found) {
            (Self::Null, Node::Null) => Some(Ordering::Equal),
            (Self::Bool(wanted), Node::Bool(found)) => Some(found.cmp(wanted)),
            (Self::Number(wanted, _), Node::Number(found)) => Some(wanted.order(found)),
            (Self::Number(_, Some(wanted)) | Self::Text(wanted), Node::String(found)) => Some((**found).cmp(wanted)),
            (Self::Time(wanted, text), Node::String(found)) => match (found.parse::<Timestamp>(), text) {
                (Ok(found), _) => Some(found.cmp(wanted)),
                (Err(_), Some(text)) => Some((**found).cmp(text)),
                (Err(_), None) => None,
            },
            (Self::Id(wanted), Node::String(found)) => found.parse::<ObjectId>().ok().map(|found| found.cmp(wanted)),
            (
                Self::Null | Self::Bool(_) | Self::Number(..) | Self::Text(_) | Self::Time(..) | Self::Id(_),
                Node::Null | Node::Bool(_) | Node::Number(_) | Node::String(_) | Node::Array(_) | Node::Object(_),
            ) => None,
        }
    }
}
