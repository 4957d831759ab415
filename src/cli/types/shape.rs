//! What values look like that fit a schema, as far as a type of a programming language can say it.
//!
//! A shape may say less than its schema, and never more: what has no counterpart is left out, or is [`Shape::Unknown`]. So
//! every value that fits the schema has the type.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value};

use super::names::{Names, pascal};

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Unknown,
    Never,
    Null,
    Boolean,
    Number,
    Integer,
    Text,
    /// One value: a boolean, a string or a number.
    Literal(Value),
    List(Box<Shape>),
    /// A list whose first items have types of their own: `rest` is what follows, if anything may.
    Tuple {
        first: Vec<Shape>,
        /// How many of them are always there.
        required: usize,
        rest: Option<Box<Shape>>,
    },
    Object(Object),
    AnyOf(Vec<Shape>),
    AllOf(Vec<Shape>),
    /// The type of this name.
    Named(String),
}

/// The type of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object {
    pub(super) fields: Vec<Field>,
    /// What further fields have, if that is said.
    pub(super) others: Option<Box<Shape>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) is_required: bool,
    pub(super) about: Vec<String>,
}

/// A type with a name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) about: Vec<String>,
}

/// The named types of one schema: the first is that of the whole, the others are those that it refers to.
pub(super) fn types_of(root: &Value, name: String, names: &mut Names) -> Vec<Named> {
    let ignores_siblings = root["$schema"].as_str().is_some_and(|draft| draft.contains("draft-07"));
    let has_tuples_in_items = root["$schema"].as_str().is_some_and(|draft| !draft.contains("2020-12"));
    let known = BTreeMap::from([(String::new(), name.clone())]);
    let waiting = VecDeque::from([(name.clone(), root)]);
    let mut reader = Reader { root, prefix: name, names, known, waiting, ignores_siblings, has_tuples_in_items };
    let mut types = Vec::new();
    while let Some((name, schema)) = reader.waiting.pop_front() {
        types.push(Named { name, shape: reader.shape(schema, None), about: about(schema) });
    }
    types
}

struct Reader<'a, 'n> {
    root: &'a Value,
    prefix: String,
    names: &'n mut Names,
    /// The names of what is referred to, by its place.
    known: BTreeMap<String, String>,
    waiting: VecDeque<(String, &'a Value)>,
    /// Whether `$ref` makes everything beside it meaningless.
    ignores_siblings: bool,
    /// Whether a list in `items` is about the first items.
    has_tuples_in_items: bool,
}

impl<'a> Reader<'a, '_> {
    /// The shape of a schema. `assumed` is the `type` that its surroundings have asked for already.
    fn shape(&mut self, schema: &'a Value, assumed: Option<&'a Value>) -> Shape {
        let fields = match schema {
            Value::Bool(false) => return Shape::Never,
            Value::Object(fields) => fields,
            _ => return Shape::Unknown,
        };
        let mut parts = Vec::new();
        if let Some(reference) = fields.get("$ref") {
            parts.push(self.referred(reference));
            if self.ignores_siblings {
                return all_of(parts);
            }
        }
        let types = fields.get("type").or(assumed);
        match literals(fields, types) {
            Some(values) => parts.push(values),
            None => parts.push(self.of_types(fields, types)),
        }
        for (keyword, joins) in [("allOf", all_of as fn(Vec<Shape>) -> Shape), ("anyOf", any_of), ("oneOf", any_of)] {
            if let Some(branches) = fields.get(keyword).and_then(Value::as_array) {
                let branches = branches.iter().map(|branch| self.shape(branch, types)).collect();
                parts.push(joins(branches));
            }
        }
        all_of(parts)
    }

    /// The type of a definition that a `$ref` leads to. Other places have no name.
    fn referred(&mut self, reference: &Value) -> Shape {
        let Some(place) = reference.as_str().and_then(|reference| reference.strip_prefix('#')) else {
            return Shape::Unknown;
        };
        if let Some(name) = self.known.get(place) {
            return Shape::Named(name.clone());
        }
        let definition = place.strip_prefix("/$defs/").or_else(|| place.strip_prefix("/definitions/"));
        let Some(definition) = definition.filter(|name| !name.contains(['/', '%'])) else { return Shape::Unknown };
        let Some(schema) = self.root.pointer(place) else { return Shape::Unknown };
        let name = self.names.unique(format!("{}{}", self.prefix, pascal(definition)));
        self.known.insert(place.to_owned(), name.clone());
        self.waiting.push_back((name.clone(), schema));
        Shape::Named(name)
    }

    fn of_types(&mut self, fields: &'a Map<String, Value>, types: Option<&'a Value>) -> Shape {
        match types {
            Some(Value::String(one)) => self.of_type(one, fields),
            Some(Value::Array(several)) => {
                any_of(several.iter().filter_map(Value::as_str).map(|one| self.of_type(one, fields)).collect())
            }
            // Without a type, a schema lets values of every type pass.
            _ => Shape::Unknown,
        }
    }

    fn of_type(&mut self, name: &str, fields: &'a Map<String, Value>) -> Shape {
        match name {
            "null" => Shape::Null,
            "boolean" => Shape::Boolean,
            "number" => Shape::Number,
            "integer" => Shape::Integer,
            "string" => Shape::Text,
            "array" => self.list(fields),
            "object" => Shape::Object(self.object(fields)),
            _ => Shape::Unknown,
        }
    }

    fn object(&mut self, fields: &'a Map<String, Value>) -> Object {
        let required: Vec<&str> =
            fields.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Object::default();
        for (name, schema) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let is_required = required.contains(&name.as_str());
            let shape = self.shape(schema, None);
            object.fields.push(Field { name: name.clone(), shape, is_required, about: about(schema) });
        }
        for name in required {
            if object.fields.iter().all(|field| field.name != name) {
                let (name, about) = (name.to_owned(), Vec::new());
                object.fields.push(Field { name, shape: Shape::Unknown, is_required: true, about });
            }
        }
        let has_patterns =
            fields.get("patternProperties").and_then(Value::as_object).is_some_and(|map| !map.is_empty());
        object.others = match fields.get("additionalProperties") {
            _ if has_patterns => Some(Box::new(Shape::Unknown)),
            None | Some(Value::Bool(true)) => object.fields.is_empty().then(|| Box::new(Shape::Unknown)),
            Some(Value::Bool(false)) => None,
            Some(schema) => Some(Box::new(self.shape(schema, None))),
        };
        object
    }

    fn list(&mut self, fields: &'a Map<String, Value>) -> Shape {
        let items = fields.get("items");
        let (first, rest) = match items {
            Some(Value::Array(first)) if self.has_tuples_in_items => (Some(first), fields.get("additionalItems")),
            rest => (fields.get("prefixItems").filter(|_| !self.has_tuples_in_items).and_then(Value::as_array), rest),
        };
        let rest = match rest {
            Some(Value::Bool(false)) => None,
            Some(schema) => Some(Box::new(self.shape(schema, None))),
            None => Some(Box::new(Shape::Unknown)),
        };
        let first: Vec<_> = first.into_iter().flatten().map(|schema| self.shape(schema, None)).collect();
        if first.is_empty() {
            return Shape::List(rest.unwrap_or_else(|| Box::new(Shape::Never)));
        }
        let least = fields.get("minItems").and_then(Value::as_u64).and_then(|least| usize::try_from(least).ok());
        Shape::Tuple { required: least.unwrap_or(0).min(first.len()), first, rest }
    }
}

/// The values of `enum` or `const`, without those whose type is not asked for.
fn literals(fields: &Map<String, Value>, types: Option<&Value>) -> Option<Shape> {
    let values = match (fields.get("const"), fields.get("enum")) {
        (Some(value), _) => std::slice::from_ref(value),
        (None, Some(Value::Array(values))) => values.as_slice(),
        (None, _) => return None,
    };
    let is_asked_for = |value: &&Value| {
        let name = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let is = |one: &Value| one == name || (name == "number" && one == "integer");
        match types {
            None => true,
            Some(Value::Array(several)) => several.iter().any(is),
            Some(one) => is(one),
        }
    };
    let shape = |value: &Value| match value {
        Value::Null => Shape::Null,
        Value::Bool(_) | Value::String(_) | Value::Number(_) => Shape::Literal(value.clone()),
        // A type of its own for a whole value would be of little use.
        Value::Array(_) | Value::Object(_) => Shape::Unknown,
    };
    Some(any_of(values.iter().filter(is_asked_for).map(shape).collect()))
}

/// What fits all of the shapes.
fn all_of(parts: Vec<Shape>) -> Shape {
    let mut kept: Vec<Shape> = Vec::new();
    for part in parts {
        match part {
            Shape::Never => return Shape::Never,
            Shape::Unknown => {}
            Shape::AllOf(inner) => kept.extend(inner),
            part if kept.contains(&part) => {}
            part => kept.push(part),
        }
    }
    match kept.len() {
        0 => Shape::Unknown,
        1 => kept.remove(0),
        _ => Shape::AllOf(kept),
    }
}

/// What fits one of the shapes.
fn any_of(parts: Vec<Shape>) -> Shape {
    let mut kept: Vec<Shape> = Vec::new();
    for part in parts {
        match part {
            Shape::Unknown => return Shape::Unknown,
            Shape::Never => {}
            Shape::AnyOf(inner) => kept.extend(inner),
            part if kept.contains(&part) => {}
            part => kept.push(part),
        }
    }
    match kept.len() {
        0 => Shape::Never,
        1 => kept.remove(0),
        _ => Shape::AnyOf(kept),
    }
}

/// The title and the description, line by line.
fn about(schema: &Value) -> Vec<String> {
    let texts = ["title", "description"].into_iter().filter_map(|keyword| schema.get(keyword)?.as_str());
    // Whatever an editor or a language takes for the end of a line is one.
    let lines = texts.flat_map(|text| text.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']));
    let printable = lines.map(|line| line.chars().filter(|one| !one.is_control()).collect::<String>());
    printable.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}
