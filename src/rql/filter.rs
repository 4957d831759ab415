//! The conditions of a query, and whether a record meets them.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::{FieldPath, Value};

/// A condition on a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Every one is met; none at all is met by every record.
    And(Vec<Filter>),
    /// One at least is met.
    Or(Vec<Filter>),
    /// `eq ne gt ge lt le`.
    Compare {
        /// The field.
        field: FieldPath,
        /// How it must compare.
        op: Comparison,
        /// With what.
        value: Value,
    },
    /// `in` and `out`. No value at all: `in` is met by no record, `out` by every one.
    In {
        /// The field.
        field: FieldPath,
        /// The values.
        values: Vec<Value>,
        /// `out`: the field equals none of them.
        negated: bool,
    },
    /// `like`: the text holds this one, as it stands (the SDK: "contains the substring"); upper and lower case differ.
    Like {
        /// The field.
        field: FieldPath,
        /// What it must hold.
        text: String,
    },
    /// `contains` and `excludes`.
    Contains {
        /// The field.
        field: FieldPath,
        /// What one element must meet, its fields counted from the element; `None`: that the field is present.
        /// A condition on [`FieldPath::itself`] is one on the element's own value.
        condition: Option<Box<Filter>>,
        /// `excludes`: no element meets it, or the field is absent.
        negated: bool,
    },
}

/// How a field must compare with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It equals it.
    Eq,
    /// It does not equal it, or is absent.
    Ne,
    /// It is greater.
    Gt,
    /// It is greater or equal.
    Ge,
    /// It is less.
    Lt,
    /// It is less or equal.
    Le,
}

impl Filter {
    /// Whether the record meets the condition.
    ///
    /// An array meets `eq`, `gt`, …, `in` and `like` when one of its elements does, and `ne` and `out` when none of
    /// them equals the value. A field that is absent meets `ne`, `out`, `excludes` and `eq` with `null`.
    pub fn matches(&self, record: &Json) -> bool {
        match self {
            Self::And(all) => all.iter().all(|filter| filter.matches(record)),
            Self::Or(some) => some.iter().any(|filter| filter.matches(record)),
            Self::Compare { field, op, value } => match op {
                Comparison::Eq => equals(field, value, record),
                Comparison::Ne => !equals(field, value, record),
                Comparison::Gt => ordered(field, value, record, Ordering::is_gt),
                Comparison::Ge => ordered(field, value, record, Ordering::is_ge),
                Comparison::Lt => ordered(field, value, record, Ordering::is_lt),
                Comparison::Le => ordered(field, value, record, Ordering::is_le),
            },
            Self::In { field, values, negated } => values.iter().any(|value| equals(field, value, record)) != *negated,
            Self::Like { field, text } => any_element(field, record, &mut |found| {
                found.as_str().is_some_and(|found| found.contains(text.as_str()))
            }),
            Self::Contains { field, condition, negated } => {
                let met = match condition {
                    None => field.any(record, &mut |_| true),
                    Some(condition) => any_element(field, record, &mut |element| {
                        (element.is_object() || condition.is_about_itself()) && condition.matches(element)
                    }),
                };
                met != *negated
            }
        }
    }

    /// Whether the condition asks about a value as a whole and about none of its fields.
    fn is_about_itself(&self) -> bool {
        match self {
            Self::And(filters) | Self::Or(filters) => filters.iter().all(Self::is_about_itself),
            Self::Compare { field, .. }
            | Self::In { field, .. }
            | Self::Like { field, .. }
            | Self::Contains { field, .. } => field.is_itself(),
        }
    }
}

fn equals(field: &FieldPath, value: &Value, record: &Json) -> bool {
    ordered(field, value, record, Ordering::is_eq) || (*value == Value::Null && !field.any(record, &mut |_| true))
}

fn ordered(field: &FieldPath, value: &Value, record: &Json, wanted: fn(Ordering) -> bool) -> bool {
    any_element(field, record, &mut |found| value.order(found).is_some_and(wanted))
}

/// Whether a value of the field passes the test, or an element of it when it is an array.
fn any_element(field: &FieldPath, record: &Json, test: &mut dyn FnMut(&Json) -> bool) -> bool {
    field.any(record, &mut |found| match found {
        Json::Array(elements) => elements.iter().any(&mut *test),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => test(found),
    })
}
