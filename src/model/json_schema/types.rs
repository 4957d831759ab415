//! The types of JSON values, as schemas name them.

use crate::json::{Node, number};

/// A set of types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Types(u8);

/// Every type by its name, and how a sentence names it.
const NAMES: [(&str, &str); 7] = [
    ("object", "an object"),
    ("array", "an array"),
    ("string", "a string"),
    ("number", "a number"),
    ("integer", "a whole number"),
    ("boolean", "true or false"),
    ("null", "null"),
];

impl Types {
    /// The set with the type of this name, if there is one.
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().position(|(own, _)| *own == name).map(|bit| Self(1 << bit))
    }

    /// Both sets.
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn holds(self, name: &str) -> bool {
        Self::named(name).is_some_and(|one| self.0 & one.0 != 0)
    }

    /// Whether a value has one of these types.
    pub(super) fn admit(self, value: &Node<'_>) -> bool {
        match value {
            Node::Object(_) => self.holds("object"),
            Node::Array(_) => self.holds("array"),
            Node::String(_) => self.holds("string"),
            Node::Number(text) => self.holds("number") || (self.holds("integer") && number::is_whole(text)),
            Node::Bool(_) => self.holds("boolean"),
            Node::Null => self.holds("null"),
        }
    }

    /// The types in a sentence: `a string or null`.
    pub(super) fn in_words(self) -> String {
        let words: Vec<_> = NAMES.iter().filter(|(name, _)| self.holds(name)).map(|(_, words)| *words).collect();
        words.join(" or ")
    }
}
