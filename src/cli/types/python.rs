//! Types in Python: `TypedDict`s, from 3.11 on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;

use super::{
    FunctionTypes, Types,
    names::{Names, is_identifier, pascal, quoted},
    shape::{Field, Named, Object, Shape},
};

/// The names that the file has anyway.
pub(super) const RESERVED: [&str; 7] = ["Any", "Literal", "Never", "NotRequired", "Task", "TypeAlias", "TypedDict"];

const HEAD: &str = r"# Written by `tasklane types`. Changes are lost when it runs again.
from typing import Any, Literal, Never, NotRequired, TypeAlias, TypedDict
";

/// What every Task has that a Function gets.
const TASK: &str = r#"

# What every Task has that a Function gets.
class Task(TypedDict):
    id: str
    status: Literal["inProgress"]
    statusChangedTimestamp: str
    startTimestamp: str
    priority: int
    creationTimestamp: str
    updateTimestamp: str
    tags: list[str]
    createdByUserId: NotRequired[str]
    createdByApplicationId: NotRequired[str]
    retryForTaskIds: NotRequired[list[str]]
    functionVersion: NotRequired[int]
    scheduleId: NotRequired[str]
    occurrenceTimestamp: NotRequired[str]
"#;

pub(super) fn module(types: &Types, names: &mut Names) -> String {
    let all = types.functions.iter().flat_map(|function| &function.types);
    let named: BTreeMap<&str, &Named> = all.clone().map(|named| (named.name.as_str(), named)).collect();
    let mut writer = Writer { named, names, classes: String::new(), aliases: Vec::new() };
    for one in all {
        writer.name(one);
    }
    let Writer { classes, aliases, .. } = writer;
    let mut out = format!("{HEAD}{TASK}{classes}");
    if !aliases.is_empty() {
        out.push('\n');
    }
    for (about, name, text) in in_order(aliases) {
        // Writing to a `String` cannot fail.
        let _ = write!(out, "\n{}{name}: TypeAlias = {text}\n", comment(&about, ""));
    }
    for FunctionTypes { function, event, data, data_may_be_absent, .. } in &types.functions {
        let data = quoted(data);
        let data = if *data_may_be_absent { format!("NotRequired[{data}]") } else { data };
        let about = format!("# The event of a Task of {function}, which its handler gets.");
        let name = quoted(function);
        let _ = write!(out, "\n\n{about}\nclass {event}(Task):\n    functionName: Literal[{name}]\n    data: {data}\n");
    }
    out
}

/// An alias: its comment, its name and what it stands for.
type Alias = (Vec<String>, String, String);

struct Writer<'a> {
    named: BTreeMap<&'a str, &'a Named>,
    names: &'a mut Names,
    classes: String,
    aliases: Vec<(Alias, BTreeSet<String>)>,
}

impl<'a> Writer<'a> {
    fn name(&mut self, named: &'a Named) {
        if let Some(object) = self.as_fields(&named.shape) {
            return self.class(&named.name, &object, &named.about);
        }
        let mut aliases = BTreeSet::new();
        let text = self.expression(&named.shape, &named.name, &mut Use::Alias(&mut aliases));
        self.aliases.push(((named.about.clone(), named.name.clone(), text), aliases));
    }

    /// The fields of an object that has some; those of several objects together, because there is no type for what fits all
    /// of several types.
    fn as_fields(&self, shape: &Shape) -> Option<Object> {
        match shape {
            Shape::Object(object) if !object.fields.is_empty() => Some(object.clone()),
            Shape::AllOf(parts) => {
                let mut all = Object::default();
                for part in parts {
                    for field in self.fields_within(part, 0)?.fields {
                        match all.fields.iter_mut().find(|known| known.name == field.name) {
                            Some(known) => known.is_required |= field.is_required,
                            None => all.fields.push(field),
                        }
                    }
                }
                Some(all).filter(|all| !all.fields.is_empty())
            }
            _ => None,
        }
    }

    /// Those of an object that is a part of others, also of one with a name.
    fn fields_within(&self, shape: &Shape, depth: usize) -> Option<Object> {
        match shape {
            Shape::Object(object) => Some(object.clone()),
            Shape::Named(name) if depth < 10 => self.fields_within(&self.named.get(name.as_str())?.shape, depth + 1),
            Shape::AllOf(_) => self.as_fields(shape),
            _ => None,
        }
    }

    fn class(&mut self, name: &str, object: &Object, about: &[String]) {
        let mut text = String::new();
        let is_plain = object.fields.iter().all(|field| is_attribute(&field.name));
        let head = comment(about, "");
        if is_plain {
            let _ = write!(text, "\n\n{head}class {name}(TypedDict):\n");
            for field in &object.fields {
                let kind = self.kind(field, name);
                let _ = writeln!(text, "{}    {}: {kind}", comment(&field.about, "    "), field.name);
            }
        } else {
            let _ = write!(text, "\n\n{head}{name} = TypedDict({}, {{\n", quoted(name));
            for field in &object.fields {
                let kind = self.kind(field, name);
                let _ = writeln!(text, "{}    {}: {kind},", comment(&field.about, "    "), quoted(&field.name));
            }
            text.push_str("})\n");
        }
        self.classes.push_str(&text);
    }

    /// The type of a field, in quotes: what it names may come later.
    fn kind(&mut self, field: &Field, class: &str) -> String {
        let hint = format!("{class}{}", pascal(&field.name));
        let text = self.expression(&field.shape, &hint, &mut Use::Annotation);
        // It contains quotes of its own if it has literals, which are escaped like everything else.
        let text = quoted(&text);
        if field.is_required { text } else { format!("NotRequired[{text}]") }
    }

    /// A type as an expression. `hint` is what a class is called that it needs.
    fn expression(&mut self, shape: &Shape, hint: &str, used: &mut Use<'_>) -> String {
        match shape {
            Shape::Unknown => "Any".to_owned(),
            Shape::Never => "Never".to_owned(),
            Shape::Null => "None".to_owned(),
            Shape::Boolean => "bool".to_owned(),
            Shape::Number => "float".to_owned(),
            Shape::Integer => "int".to_owned(),
            Shape::Text => "str".to_owned(),
            Shape::Literal(value) => literal(value),
            Shape::Named(name) => {
                let is_class =
                    self.named.get(name.as_str()).is_some_and(|named| self.as_fields(&named.shape).is_some());
                if let (false, Use::Alias(aliases)) = (is_class, used) {
                    aliases.insert(name.clone());
                }
                name.clone()
            }
            Shape::List(item) => format!("list[{}]", self.expression(item, &format!("{hint}Item"), used)),
            // A list has one type for all of its items.
            Shape::Tuple { .. } => "list[Any]".to_owned(),
            Shape::Object(Object { fields, others }) if fields.is_empty() => match others {
                Some(others) => format!("dict[str, {}]", self.expression(others, &format!("{hint}Value"), used)),
                None => "dict[str, Never]".to_owned(),
            },
            Shape::Object(object) => self.own_class(object, hint),
            Shape::AnyOf(parts) => {
                let mut written: Vec<String> = Vec::new();
                for (index, part) in parts.iter().enumerate() {
                    let hint = if index == 0 { hint.to_owned() } else { format!("{hint}{}", index + 1) };
                    let part = self.expression(part, &hint, used);
                    if !written.contains(&part) {
                        written.push(part);
                    }
                }
                if written.iter().any(|part| part == "Any") { "Any".to_owned() } else { written.join(" | ") }
            }
            Shape::AllOf(parts) => match self.as_fields(shape) {
                Some(object) => self.own_class(&object, hint),
                // What fits all of them fits the first one.
                None => parts.first().map_or_else(|| "Any".to_owned(), |first| self.expression(first, hint, used)),
            },
        }
    }

    fn own_class(&mut self, object: &Object, hint: &str) -> String {
        let name = self.names.unique(hint.to_owned());
        self.class(&name, object, &[]);
        name
    }
}

/// Where an expression stands.
enum Use<'a> {
    /// In quotes, so everything may come later.
    Annotation,
    /// In an alias, which is evaluated at once: the other aliases that it names come before.
    Alias(&'a mut BTreeSet<String>),
}

/// The aliases, each after those that it names. One that would need itself gets `Any` in its place.
fn in_order(mut waiting: Vec<(Alias, BTreeSet<String>)>) -> Vec<Alias> {
    let mut done: Vec<Alias> = Vec::new();
    while !waiting.is_empty() {
        let is_known = |name: &String, done: &[Alias]| done.iter().any(|(_, known, _)| known == name);
        let next = waiting.iter().position(|(_, needs)| needs.iter().all(|name| is_known(name, &done)));
        let ((about, name, mut text), needs) = waiting.remove(next.unwrap_or(0));
        for missing in needs.iter().filter(|need| !is_known(need, &done)) {
            text = without(&text, missing);
        }
        done.push((about, name, text));
    }
    done
}

/// The expression with `Any` in place of a name.
fn without(expression: &str, name: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    let mut in_text = false;
    // A last character that ends the last word.
    for one in expression.chars().chain(['\n']) {
        if !in_text && (one.is_ascii_alphanumeric() || one == '_') {
            word.push(one);
            continue;
        }
        out.push_str(if word == name { "Any" } else { &word });
        word.clear();
        in_text ^= one == '"' && !out.ends_with('\\');
        out.push(one);
    }
    out.trim_end_matches('\n').to_owned()
}

fn comment(about: &[String], indent: &str) -> String {
    about.iter().map(|line| format!("{indent}# {line}\n")).collect()
}

/// Whether a class can have a field of this name: it is no word of the language, and would not be changed.
fn is_attribute(name: &str) -> bool {
    const WORDS: [&str; 35] = [
        "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
        "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
        "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
    ];
    is_identifier(name) && !name.starts_with("__") && !WORDS.contains(&name)
}

/// A value as a type, if `Literal` can have it.
fn literal(value: &Value) -> String {
    match value {
        Value::Bool(true) => "Literal[True]".to_owned(),
        Value::Bool(false) => "Literal[False]".to_owned(),
        Value::String(text) => format!("Literal[{}]", quoted(text)),
        Value::Number(number) if number.is_i64() || number.is_u64() => format!("Literal[{number}]"),
        Value::Number(_) => "float".to_owned(),
        Value::Null | Value::Array(_) | Value::Object(_) => "Any".to_owned(),
    }
}
