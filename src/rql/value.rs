//! The values that a query compares fields with.

use std::cmp::Ordering;

use crate::model::{
    ObjectId, Timestamp,
    json::{Node, number::Number},
};

/// A value of a query, read as what it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`: equal to `null`, and to a field that is absent.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number: compared with numbers, digit for digit. One that was only guessed to be a number, and that JavaScript would
    /// write with other characters, may as well be a text: it keeps that, which is compared with texts.
    Number(Number, Option<String>),
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
