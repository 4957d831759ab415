//! What a filter requires of a record, for a planner that chooses an index.
//!
//! Except for [`Filter::is_decided_by`], these are necessary conditions: a record that breaks one cannot meet the filter.
//! They are not sufficient; the filter still decides about each record. Of a field that holds a list, the values that it
//! is required to have are such that it contains at least one of them; the other conditions apply only to fields that
//! hold one value.

use std::ops::Bound;

use tasklane_model::{ObjectId, Timestamp};

use super::{Comparison, FieldPath, Filter, Value};

impl Filter {
    /// The only strings that the field can hold, or of which it contains at least one if it holds a list; `None` if the
    /// filter does not restrict them. If the list is empty, no record can meet the filter.
    pub fn required_values(&self, field: &str) -> Option<Vec<&str>> {
        self.required(&|own| own.is(field), &|value| match value {
            Value::Text(text) => Some(text.as_str()),
            Value::Null | Value::Bool(_) | Value::Number(..) | Value::Time(..) | Value::Id(_) => None,
        })
    }

    /// Whether a record meets the filter exactly if the field holds one of [`Filter::required_values`].
    pub fn is_decided_by(&self, field: &str) -> bool {
        match self {
            Self::Compare { field: own, op: Comparison::Eq, value: Value::Text(_) } => own.is(field),
            Self::In { field: own, values, negated: false } => {
                own.is(field) && values.iter().all(|value| matches!(value, Value::Text(_)))
            }
            Self::And(one) if one.len() == 1 => one.iter().all(|filter| filter.is_decided_by(field)),
            _ => false,
        }
    }

    /// The only ids that the record can have, ascending; `None` if the filter does not restrict them.
    pub fn required_ids(&self) -> Option<Vec<ObjectId>> {
        self.required(&|own| own.is("id"), &|value| match value {
            Value::Id(id) => Some(*id),
            Value::Null | Value::Bool(_) | Value::Number(..) | Value::Text(_) | Value::Time(..) => None,
        })
    }

    /// The times between which the field must lie.
    pub fn required_range(&self, field: &str) -> (Bound<Timestamp>, Bound<Timestamp>) {
        self.range(field, &|value| match value {
            Value::Time(at, None) => Some(*at),
            Value::Time(_, Some(_))
            | Value::Null
            | Value::Bool(_)
            | Value::Number(..)
            | Value::Text(_)
            | Value::Id(_) => None,
        })
    }

    /// The ids between which the record's `id` must lie.
    pub fn required_id_range(&self) -> (Bound<ObjectId>, Bound<ObjectId>) {
        self.range("id", &|value| match value {
            Value::Id(id) => Some(*id),
            Value::Null | Value::Bool(_) | Value::Number(..) | Value::Text(_) | Value::Time(..) => None,
        })
    }

    fn required<'a, T: Ord>(
        &'a self,
        is_asked: &dyn Fn(&FieldPath) -> bool,
        read: &dyn Fn(&'a Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut values = match self {
            Self::And(all) => all.iter().filter_map(|filter| filter.required(is_asked, read)).min_by_key(Vec::len)?,
            Self::Or(some) => some
                .iter()
                .map(|filter| filter.required(is_asked, read))
                .collect::<Option<Vec<_>>>()?
                .into_iter()
                .flatten()
                .collect(),
            Self::Compare { field: own, op: Comparison::Eq, value } if is_asked(own) => vec![read(value)?],
            Self::In { field: own, values, negated: false } if is_asked(own) => {
                values.iter().map(read).collect::<Option<Vec<_>>>()?
            }
            Self::Contains { field: own, condition: Some(condition), negated: false } if is_asked(own) => {
                condition.required(&FieldPath::is_itself, read)?
            }
            Self::Compare { .. } | Self::In { .. } | Self::Like { .. } | Self::Contains { .. } => return None,
        };
        values.sort();
        values.dedup();
        Some(values)
    }

    fn range<T: Ord + Copy>(&self, field: &str, read: &dyn Fn(&Value) -> Option<T>) -> (Bound<T>, Bound<T>) {
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let is_asked = |own: &FieldPath| own.is(field);
        match self {
            Self::And(all) => all.iter().map(|filter| filter.range(field, read)).fold(everything, overlap),
            Self::Or(some) => some.iter().map(|filter| filter.range(field, read)).reduce(hull).unwrap_or(everything),
            Self::Compare { field: own, op, value } if is_asked(own) => match (op, read(value)) {
                (_, None) | (Comparison::Ne, _) => everything,
                (Comparison::Eq, Some(at)) => (Bound::Included(at), Bound::Included(at)),
                (Comparison::Gt, Some(at)) => (Bound::Excluded(at), Bound::Unbounded),
                (Comparison::Ge, Some(at)) => (Bound::Included(at), Bound::Unbounded),
                (Comparison::Lt, Some(at)) => (Bound::Unbounded, Bound::Excluded(at)),
                (Comparison::Le, Some(at)) => (Bound::Unbounded, Bound::Included(at)),
            },
            Self::In { field: own, values, negated: false } if is_asked(own) => {
                match values.iter().map(read).collect::<Option<Vec<_>>>() {
                    Some(all) => match (all.iter().min(), all.iter().max()) {
                        (Some(first), Some(last)) => (Bound::Included(*first), Bound::Included(*last)),
                        _ => everything,
                    },
                    None => everything,
                }
            }
            Self::Compare { .. } | Self::In { .. } | Self::Like { .. } | Self::Contains { .. } => everything,
        }
    }
}

type Range<T> = (Bound<T>, Bound<T>);

/// The intersection of two ranges.
fn overlap<T: Ord + Copy>(a: Range<T>, b: Range<T>) -> Range<T> {
    (
        if lower_rank(a.0) >= lower_rank(b.0) { a.0 } else { b.0 },
        if upper_rank(a.1) <= upper_rank(b.1) { a.1 } else { b.1 },
    )
}

/// The smallest range that contains both.
fn hull<T: Ord + Copy>(a: Range<T>, b: Range<T>) -> Range<T> {
    (
        if lower_rank(a.0) <= lower_rank(b.0) { a.0 } else { b.0 },
        if upper_rank(a.1) >= upper_rank(b.1) { a.1 } else { b.1 },
    )
}

/// Orders lower bounds by where the range begins: `Excluded` begins just after `Included`.
fn lower_rank<T: Ord>(bound: Bound<T>) -> Option<(T, u8)> {
    match bound {
        Bound::Unbounded => None,
        Bound::Included(at) => Some((at, 0)),
        Bound::Excluded(at) => Some((at, 1)),
    }
}

/// Orders upper bounds by where the range ends: `Excluded` ends just before `Included`, and `Unbounded` last.
fn upper_rank<T: Ord>(bound: Bound<T>) -> (bool, Option<(T, u8)>) {
    match bound {
        Bound::Unbounded => (true, None),
        Bound::Included(at) => (false, Some((at, 1))),
        Bound::Excluded(at) => (false, Some((at, 0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Query, Schema};

    fn filter(text: &str) -> Filter {
        Query::parse(text, &Schema::TASKS).unwrap().filter.unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_possible_values_of_a_field_are_collected_from_every_condition() {
        for (text, expected) in [
            ("functionName=a", Some(vec!["a"])),
            ("functionName=a&status=new", Some(vec!["a"])),
            ("in(functionName,b,a,a)", Some(vec!["a", "b"])),
            ("in(functionName,a,b,c)&functionName=b", Some(vec!["b"])),
            ("or(functionName=a,and(functionName=b,status=new))", Some(vec!["a", "b"])),
            ("or(functionName=a,status=new)", None),
            ("functionName!=a", None),
            ("out(functionName,a)", None),
            ("like(functionName,a)", None),
            ("contains(data,functionName=a)", None),
            ("eq(data.functionName,a)", None),
        ] {
            assert_eq!(filter(text).required_values("functionName"), expected, "{text}");
        }
    }

    #[test]
    fn a_string_that_is_not_an_id_matches_nothing() {
        assert_eq!(filter("id=x").required_ids(), Some(vec![]));
        let id = "65ba0000abcdef0123456789";
        assert_eq!(filter(&format!("in(id,x,{id})")).required_ids(), Some(vec![id.parse().unwrap()]));
        assert_eq!(
            filter(&format!("id>{id}")).required_id_range(),
            (Bound::Excluded(id.parse().unwrap()), Bound::Unbounded)
        );
    }

    #[test]
    fn the_range_of_a_timestamp_is_the_narrowest_with_every_alternative() {
        let (a, b) = (at("2026-01-01"), at("2026-02-01"));
        for (text, expected) in [
            ("creationTimestamp>=2026-01-01&creationTimestamp<2026-02-01", (Bound::Included(a), Bound::Excluded(b))),
            (
                "gt(creationTimestamp,2026-01-01)&ge(creationTimestamp,2026-01-01)",
                (Bound::Excluded(a), Bound::Unbounded),
            ),
            ("or(creationTimestamp=2026-02-01,creationTimestamp=2026-01-01)", (Bound::Included(a), Bound::Included(b))),
            ("or(creationTimestamp>2026-01-01,creationTimestamp>=2026-01-01)", (Bound::Included(a), Bound::Unbounded)),
            ("or(creationTimestamp<2026-01-01,status=new)", (Bound::Unbounded, Bound::Unbounded)),
            ("in(creationTimestamp,2026-02-01,2026-01-01)", (Bound::Included(a), Bound::Included(b))),
            ("updateTimestamp>2026-01-01", (Bound::Unbounded, Bound::Unbounded)),
            ("creationTimestamp!=2026-01-01", (Bound::Unbounded, Bound::Unbounded)),
        ] {
            assert_eq!(filter(text).required_range("creationTimestamp"), expected, "{text}");
        }
    }
}
