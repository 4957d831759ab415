//! `$NAME` values, which come from the environment.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Problem, draft::schemas};

/// Looks a variable up.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces every string that begins with `$`, at any depth, with the variable of that name. Returns the paths of the
/// replaced values: an error must not quote them, and they may hold a number as a string.
///
/// As in the official CLI, the whole value is the reference, an empty variable is treated as missing (a pipeline without
/// access to its secrets sets empty ones), and property names are not replaced.
pub(super) fn substitute(properties: &mut Map<String, Value>, lookup: Lookup<'_>) -> (BTreeSet<String>, Vec<Problem>) {
    let mut walk = Walk { lookup, replaced: BTreeSet::new(), problems: Vec::new() };
    for (name, value) in properties {
        // What begins with `$` in a schema belongs to the schema.
        if !(schemas::PROPERTIES.contains(&name.as_str()) && value.is_object()) {
            walk.visit(name.clone(), value);
        }
    }
    (walk.replaced, walk.problems)
}

struct Walk<'a> {
    lookup: Lookup<'a>,
    replaced: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn visit(&mut self, property: String, value: &mut Value) {
        match value {
            Value::String(text) => {
                let Some(variable) = text.strip_prefix('$') else { return };
                match (self.lookup)(variable).filter(|found| !found.is_empty()) {
                    Some(found) => {
                        *text = found;
                        self.replaced.insert(property);
                    }
                    None => self.problems.push(Problem::Variable { property, variable: variable.to_owned() }),
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.visit(format!("{property}[{index}]"), item);
                }
            }
            Value::Object(properties) => {
                for (name, value) in properties {
                    self.visit(format!("{property}.{name}"), value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
