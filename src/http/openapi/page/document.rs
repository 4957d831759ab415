//! The parts of the document that several parts of the page look up.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::json::{list, object, text};

/// An API document, with what the page finds out about all of it.
pub struct Document<'a> {
    pub json: &'a Value,
    /// The errors that every operation can have.
    pub shared_errors: BTreeSet<&'a str>,
    /// The records that are the body of an operation, with the id of the first one, whose fold shows their fields.
    bodies: BTreeMap<&'a str, &'a str>,
}

/// A path, a method, and what is documented about them.
#[derive(Clone, Copy)]
pub struct Operation<'a> {
    pub path: &'a str,
    /// In lower case.
    pub method: &'a str,
    pub json: &'a Value,
}

impl<'a> Operation<'a> {
    pub fn id(&self) -> &'a str {
        text(&self.json["operationId"])
    }

    /// The kind of its body, such as `application/json`, and the description of it.
    pub fn body(&self) -> Option<(&'a str, &'a Value)> {
        object(&self.json["requestBody"]["content"]).next()
    }

    /// The status and the description of its response when all goes well.
    pub fn success(&self) -> Option<(&'a str, &'a Value)> {
        object(&self.json["responses"]).find(|(status, _)| status.starts_with('2'))
    }

    /// The names of its errors, by status.
    pub fn errors(&self) -> impl Iterator<Item = (&'a str, Vec<&'a str>)> {
        object(&self.json["responses"])
            .map(|(status, response)| (status, error_names(response).collect::<Vec<_>>()))
            .filter(|(_, names)| !names.is_empty())
    }

    /// Whether a call without a credential is answered, too: an empty entry means so.
    pub fn is_for_anybody(&self) -> bool {
        list(&self.json["security"]).iter().any(|scheme| object(scheme).next().is_none())
    }

    /// Whether both differ only in their method.
    pub fn is_like(&self, other: &Self) -> bool {
        self.path == other.path
            && self.json["summary"] == other.json["summary"]
            && self.json["description"] == other.json["description"]
    }
}

impl<'a> Document<'a> {
    pub fn new(json: &'a Value) -> Self {
        let names = |operation: Operation<'a>| operation.errors().flat_map(|(_, names)| names).collect::<BTreeSet<_>>();
        let shared_errors = operations(json).map(names).reduce(|all, more| &all & &more).unwrap_or_default();
        let mut bodies = BTreeMap::new();
        for operation in operations(json) {
            if let Some(name) = operation.body().and_then(|(_, content)| reference(&content["schema"])) {
                bodies.entry(name).or_insert(operation.id());
            }
        }
        Self { json, shared_errors, bodies }
    }

    pub fn operations(&self) -> impl Iterator<Item = Operation<'a>> {
        operations(self.json)
    }

    /// The schema, or the one that it refers to.
    pub fn resolve(&self, schema: &'a Value) -> &'a Value {
        reference(schema).map_or(schema, |name| &self.json["components"]["schemas"][name])
    }

    /// The records that are shown on their own: all but those that a fold shows.
    pub fn records(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        object(&self.json["components"]["schemas"]).filter(|(name, _)| !self.bodies.contains_key(name))
    }

    /// Whether the fold of this operation shows the fields of this record.
    pub fn is_shown_by(&self, name: &str, operation: Operation<'_>) -> bool {
        self.bodies.get(name).is_some_and(|id| *id == operation.id())
    }

    /// The example of the error of this name.
    pub fn error(&self, name: &str) -> &'a Value {
        &self.json["components"]["examples"][name]
    }
}

/// The name of the schema that this one refers to.
pub fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str().and_then(|target| target.rsplit('/').next())
}

fn operations(json: &Value) -> impl Iterator<Item = Operation<'_>> {
    object(&json["paths"]).flat_map(|(path, item)| {
        object(item)
            .filter(|(_, operation)| operation.get("operationId").is_some())
            .map(move |(method, json)| Operation { path, method, json })
    })
}

fn error_names(response: &Value) -> impl Iterator<Item = &str> {
    object(&response["content"]["application/json"]["examples"]).map(|(name, _)| name)
}
