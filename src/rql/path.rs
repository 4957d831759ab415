//! Paths to the fields of a record.

use std::fmt;

use tasklane_model::json::Node;

/// The path to a field: `data.key` has two steps. A path without steps is the record (or the list element) itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// A path with these steps.
    pub fn new<S: Into<String>>(steps: impl IntoIterator<Item = S>) -> Self {
        Self(steps.into_iter().map(Into::into).collect())
    }

    /// The record itself.
    pub fn itself() -> Self {
        Self::default()
    }

    /// Whether this is the record itself.
    pub fn is_itself(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this path is written like this, with dots.
    pub fn is(&self, dotted: &str) -> bool {
        let mut steps = self.0.iter();
        dotted.split('.').all(|step| steps.next().is_some_and(|own| own == step)) && steps.next().is_none()
    }

    /// The steps.
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// This path, followed by the other.
    pub fn join(&self, below: &Self) -> Self {
        Self(self.0.iter().chain(&below.0).cloned().collect())
    }

    /// Whether some value that the path leads to passes the test.
    ///
    /// An array on the path stands for each of its elements, and a numeric step also selects that element, as in MongoDB:
    /// `data.items.sku` reaches into an array of objects, `data.items.0` is its first element. An array at the end of
    /// the path is tested as a whole.
    pub fn any(&self, record: &Node<'_>, test: &mut dyn FnMut(&Node<'_>) -> bool) -> bool {
        any(record, &self.0, test)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

fn any(value: &Node<'_>, steps: &[String], test: &mut dyn FnMut(&Node<'_>) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return test(value) };
    match value {
        Node::Object(object) => object.get(step).is_some_and(|below| any(below, rest, test)),
        Node::Array(elements) => {
            let index = step.parse::<usize>().ok();
            index.and_then(|index| elements.get(index)).is_some_and(|element| any(element, rest, test))
                || elements.iter().filter(|element| element.is_object()).any(|element| any(element, steps, test))
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use tasklane_model::Json;

    fn reached(path: &[&str], record: &Value) -> Vec<Value> {
        let mut found = Vec::new();
        FieldPath::new(path.iter().copied()).any(&Json::from(record.clone()).node(), &mut |value| {
            found.push(value.to_value());
            false
        });
        found
    }

    #[test]
    fn steps_reach_into_objects_and_arrays_of_objects() {
        let record = json!({"data": {"items": [{"sku": 1}, {"sku": [2, 3]}, 4, {"other": 5}]}});
        assert_eq!(reached(&["data", "items", "sku"], &record), [json!(1), json!([2, 3])]);
        assert_eq!(reached(&["data", "items", "1", "sku"], &record), [json!([2, 3])]);
        assert_eq!(reached(&["data", "items", "2"], &record), [json!(4)]);
        assert_eq!(reached(&["data", "items", "9"], &record), [] as [Value; 0]);
        assert_eq!(reached(&["data", "nothing", "sku"], &record), [] as [Value; 0]);
        assert_eq!(reached(&[], &record), std::slice::from_ref(&record));
    }

    #[test]
    fn a_path_equals_only_its_own_dotted_name() {
        let path = FieldPath::new(["error", "name"]);
        assert!(path.is("error.name"));
        for other in ["error", "name", "error.name.x", "error.names", ""] {
            assert!(!path.is(other), "{other}");
        }
    }
}
