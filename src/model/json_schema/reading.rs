//! Reads the values of keywords, each with the rule that it must keep.

use super::{InvalidSchema, reference::Pointer};
use crate::json::{
    Node,
    number::{self, Number},
};

type Read<T> = Result<T, InvalidSchema>;

/// One object of a schema, and where it is.
pub(super) struct Subschema<'n, 'a> {
    pub(super) node: &'n Node<'a>,
    pub(super) place: Pointer,
}

impl<'n, 'a> Subschema<'n, 'a> {
    pub(super) fn get(&self, keyword: &str) -> Option<&'n Node<'a>> {
        self.node.get(keyword)
    }

    pub(super) fn refuse<T>(&self, keyword: &str, rule: impl Into<String>) -> Read<T> {
        Err(InvalidSchema::new(self.place.then(keyword).to_string(), rule))
    }

    pub(super) fn text(&self, keyword: &str) -> Read<Option<&'n str>> {
        match self.get(keyword) {
            None => Ok(None),
            Some(Node::String(text)) => Ok(Some(text)),
            Some(_) => self.refuse(keyword, "must be a string"),
        }
    }

    /// A number as it is written.
    pub(super) fn number(&self, keyword: &str) -> Read<Option<(&'n str, Number)>> {
        match self.get(keyword) {
            None => Ok(None),
            Some(Node::Number(text)) => Ok(Number::parse(text).map(|number| (*text, number))),
            Some(_) => self.refuse(keyword, "must be a number"),
        }
    }

    /// A number of characters, items or properties.
    pub(super) fn count(&self, keyword: &str) -> Read<Option<usize>> {
        let Some(node) = self.get(keyword) else { return Ok(None) };
        if let Node::Number(text) = node
            && number::is_whole(text)
            && !text.starts_with('-')
        {
            // More than there can be of anything.
            let number = Number::parse(text).and_then(|number| number.to_i64());
            return Ok(Some(number.and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX)));
        }
        self.refuse(keyword, "must be a whole number that is not negative")
    }

    pub(super) fn flag(&self, keyword: &str) -> Read<bool> {
        match self.get(keyword) {
            None => Ok(false),
            Some(Node::Bool(flag)) => Ok(*flag),
            Some(_) => self.refuse(keyword, "must be true or false"),
        }
    }

    pub(super) fn list(&self, keyword: &str) -> Read<Option<&'n [Node<'a>]>> {
        match self.get(keyword) {
            None => Ok(None),
            Some(Node::Array(elements)) => Ok(Some(elements)),
            Some(_) => self.refuse(keyword, "must be a list"),
        }
    }

    /// A list of names, each once.
    pub(super) fn names(&self, keyword: &str) -> Read<Option<Vec<String>>> {
        let Some(node) = self.get(keyword) else { return Ok(None) };
        names(node).map_or_else(|| self.refuse(keyword, "must be a list of different names"), |names| Ok(Some(names)))
    }

    /// The members of an object, by name.
    pub(super) fn members(&self, keyword: &str) -> Read<Vec<(&'n str, &'n Node<'a>)>> {
        match self.get(keyword) {
            None => Ok(Vec::new()),
            Some(Node::Object(fields)) => Ok(fields.distinct().collect()),
            Some(_) => self.refuse(keyword, "must be an object"),
        }
    }
}

/// A list of names, each once; `None` if it is something else.
pub(super) fn names(node: &Node<'_>) -> Option<Vec<String>> {
    let Node::Array(elements) = node else { return None };
    let names: Vec<_> = elements.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?;
    let different: std::collections::BTreeSet<_> = names.iter().collect();
    (different.len() == names.len()).then_some(names)
}
