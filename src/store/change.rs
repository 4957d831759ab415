//! Conditional changes of a row: the attributes to set and remove, and the condition.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::row::{FORMAT, number};

/// A change of one row. Attributes are named `#name` in conditions, because names may be reserved words.
#[derive(Clone, Default)]
pub(super) struct Change {
    set: Vec<(&'static str, AttributeValue)>,
    remove: Vec<&'static str>,
    condition: Condition,
}

impl Change {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn set(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.set.push((name, value));
        self
    }

    pub(super) fn set_some(self, name: &'static str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    pub(super) fn remove(mut self, name: &'static str) -> Self {
        self.remove.push(name);
        self
    }

    pub(super) fn when(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// The update expression, the condition, and the values of their placeholders. A row that a later version wrote is
    /// never changed: it is returned with the refusal, and reading it fails.
    pub(super) fn into_expressions(mut self) -> Expressions {
        let known = "#v <= :format";
        self.condition.text = match self.condition.text.as_str() {
            "" => known.to_owned(),
            text => format!("({text}) AND {known}"),
        };
        self.condition = self.condition.with("format", number(FORMAT));
        let mut values = self.condition.values;
        let mut parts = Vec::new();
        if !self.set.is_empty() {
            let sets = self.set.iter().map(|(name, _)| format!("#{name} = :set_{name}")).collect::<Vec<_>>();
            parts.push(format!("SET {}", sets.join(", ")));
        }
        if !self.remove.is_empty() {
            let removes = self.remove.iter().map(|name| format!("#{name}")).collect::<Vec<_>>();
            parts.push(format!("REMOVE {}", removes.join(", ")));
        }
        values.extend(self.set.into_iter().map(|(name, value)| (format!(":set_{name}"), value)));
        let update = parts.join(" ");
        let names = names_in(&[&update, &self.condition.text]);
        Expressions { update, condition: self.condition.text, names, values }
    }
}

/// A condition on a row.
#[derive(Clone, Default)]
pub(super) struct Condition {
    text: String,
    values: HashMap<String, AttributeValue>,
}

impl Condition {
    /// In DynamoDB's syntax, with `#name` for attributes and `:name` for the values from [`Condition::with`].
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), values: HashMap::new() }
    }

    /// The row does not exist.
    pub(super) fn absent() -> Self {
        Self::new("attribute_not_exists(#pk)")
    }

    /// The row exists, and was not written by a later version.
    pub(super) fn present() -> Self {
        Self::new("attribute_exists(#pk) AND #v <= :format").with("format", number(FORMAT))
    }

    /// Both this condition and that one.
    pub(super) fn and(mut self, other: &str) -> Self {
        self.text = if self.text.is_empty() { other.to_owned() } else { format!("{} AND {other}", self.text) };
        self
    }

    pub(super) fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(format!(":{name}"), value);
        self
    }

    pub(super) fn into_expressions(self) -> Expressions {
        let names = names_in(&[&self.text]);
        Expressions { update: String::new(), condition: self.text, names, values: self.values }
    }
}

/// The expressions of a request.
pub(super) struct Expressions {
    pub(super) update: String,
    pub(super) condition: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

/// The `#name`s in these expressions. DynamoDB rejects unused ones.
pub(super) fn names_in(expressions: &[&str]) -> HashMap<String, String> {
    let mut names = HashMap::new();
    for expression in expressions {
        for part in expression.split('#').skip(1) {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
            names.insert(format!("#{}", &part[..end]), part[..end].to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::text;

    #[test]
    fn a_change_names_each_attribute_once_and_leaves_no_name_unused() {
        let change = Change::new().set("status", text("failed")).remove("lane").when(
            Condition::new("#status = :was AND #attempt = :attempt")
                .with("was", text("new"))
                .with("attempt", number(1)),
        );
        let expressions = change.into_expressions();
        assert_eq!(expressions.update, "SET #status = :set_status REMOVE #lane");
        assert_eq!(expressions.condition, "(#status = :was AND #attempt = :attempt) AND #v <= :format");
        let mut names: Vec<_> = expressions.names.values().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["attempt", "lane", "status", "v"]);
        let mut values: Vec<_> = expressions.values.keys().map(String::as_str).collect();
        values.sort_unstable();
        assert_eq!(values, [":attempt", ":format", ":set_status", ":was"]);
    }
}
