//! Determines which part of a table a query has to read.

use std::{ops::Bound, time::Duration};

use tasklane_model::{FunctionName, ObjectId, Timestamp};
use tasklane_rql::{Filter, Query, SortKey};

use crate::tasks::marks::Mark;

/// How much later than its record's creation an id may be: if the clock is set back, ids do not go back.
const SLACK: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Where to look.
    pub(crate) source: Source,
    /// The first and the last id, inclusive.
    pub(crate) ids: (ObjectId, ObjectId),
    pub(crate) order: Order,
    /// Whether all records that the source leads to match the filter, if the table is partitioned by day.
    pub(crate) is_exact: bool,
}

/// Where a list looks. The filter is applied to everything found there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// Only these records, ascending.
    Ids(Vec<ObjectId>),
    /// The records that each of these leads to. In a table without indexes, all records.
    Indexed(Vec<Index>),
    /// All records.
    Everything,
}

/// A way to some of the records, in the order of their ids.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Index {
    /// The records of any of these Functions.
    Functions(Vec<FunctionName>),
    /// The Tasks with any of these marks.
    Marks(Vec<Mark>),
}

/// The order in which a list reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    /// By id, which is the order of creation.
    Ids {
        /// Latest first.
        descending: bool,
    },
    /// Another order: everything is read first.
    Keys,
}

impl Plan {
    /// The plan for a query. `time_field` is the field with a record's creation time.
    pub(crate) fn new(query: &Query, time_field: &str) -> Self {
        let filter = query.filter.as_ref();
        let source = match filter {
            None => Source::Everything,
            Some(filter) => match (filter.required_ids(), filter.required_values("functionName")) {
                (Some(ids), _) => Source::Ids(ids),
                (None, Some(names)) => {
                    // A string that is not a valid name is not the name of a Function.
                    let names = names.into_iter().filter_map(|name| FunctionName::parse(name).ok()).collect();
                    Source::Indexed(vec![Index::Functions(names)])
                }
                (None, None) => Source::Everything,
            },
        };
        let ids = filter.map_or_else(everything, |filter| id_range(filter, time_field));
        let is_exact = filter.is_none_or(|filter| filter.is_decided_by("functionName"));
        Self { source, ids, order: order(&query.sort, time_field), is_exact }
    }

    /// Uses these marks too, each of which the query requires of a Task.
    pub(crate) fn with_marks(mut self, required: Vec<Vec<Mark>>) -> Self {
        let marks = required.into_iter().map(Index::Marks);
        self.source = match self.source {
            Source::Ids(ids) => Source::Ids(ids),
            Source::Indexed(indexes) => Source::Indexed(indexes.into_iter().chain(marks).collect()),
            Source::Everything if marks.len() == 0 => Source::Everything,
            Source::Everything => {
                self.is_exact = false;
                Source::Indexed(marks.collect())
            }
        };
        self
    }

    /// The plan for these records, ascending.
    pub(crate) fn of_ids(ids: Vec<ObjectId>) -> Self {
        let order = Order::Ids { descending: false };
        Self { source: Source::Ids(ids), ids: everything(), order, is_exact: false }
    }

    /// Whether an id is in the plan's range.
    pub(crate) fn covers(&self, id: ObjectId) -> bool {
        (self.ids.0..=self.ids.1).contains(&id)
    }
}

fn everything() -> (ObjectId, ObjectId) {
    (ObjectId::first_at(Timestamp::EPOCH), ObjectId::LAST)
}

/// The range of ids that matching records can have, with some slack at both ends.
fn id_range(filter: &Filter, time_field: &str) -> (ObjectId, ObjectId) {
    let (after, before) = filter.required_range(time_field);
    let (from, to) = filter.required_id_range();
    let earliest = match after {
        Bound::Included(time) | Bound::Excluded(time) => ObjectId::first_at(time),
        Bound::Unbounded => everything().0,
    };
    let latest = match before {
        Bound::Included(time) | Bound::Excluded(time) => ObjectId::first_at(time.saturating_add(SLACK)),
        Bound::Unbounded => everything().1,
    };
    // Exact, without slack: a list that continues after a record must not return that record again.
    let from = match from {
        Bound::Included(id) => id,
        Bound::Excluded(id) => id.successor(),
        Bound::Unbounded => everything().0,
    };
    let to = match to {
        Bound::Included(id) => id,
        Bound::Excluded(id) => id.predecessor(),
        Bound::Unbounded => everything().1,
    };
    (earliest.max(from), latest.min(to))
}

fn order(sort: &[SortKey], time_field: &str) -> Order {
    match sort {
        [] => Order::Ids { descending: false },
        // Ids are unique, so further sort keys have no effect.
        [first, ..] if first.field.is("id") => Order::Ids { descending: first.descending },
        [first] if first.field.is(time_field) => Order::Ids { descending: first.descending },
        [first, second, ..]
            if first.field.is(time_field) && second.field.is("id") && first.descending == second.descending =>
        {
            Order::Ids { descending: first.descending }
        }
        _ => Order::Keys,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tasklane_model::json::number::Number;
    use tasklane_rql::{Comparison, FieldPath, Value};

    fn query(filter: Option<Filter>) -> Query {
        Query { filter, ..Query::everything() }
    }

    fn compare(field: &str, op: Comparison, value: Value) -> Filter {
        Filter::Compare { field: FieldPath::new([field]), op, value }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    #[test]
    fn ids_are_better_than_functions_and_functions_than_everything() {
        let id = ObjectId::new(at(5000), 1);
        let by_id = compare("id", Comparison::Eq, Value::Id(id));
        let by_function = compare("functionName", Comparison::Eq, Value::Text("f".into()));
        let by_priority = compare("priority", Comparison::Gt, Value::Number(Number::parse("3").unwrap(), None));
        let source = |filters: &[&Filter]| {
            Plan::new(&query(Some(Filter::And(filters.iter().copied().cloned().collect()))), "creationTimestamp").source
        };
        assert_eq!(source(&[&by_priority, &by_function, &by_id]), Source::Ids(vec![id]));
        let functions = vec![FunctionName::parse("f").unwrap()];
        assert_eq!(source(&[&by_priority, &by_function]), Source::Indexed(vec![Index::Functions(functions)]));
        assert_eq!(source(&[&by_priority]), Source::Everything);
    }

    #[test]
    fn a_bound_on_the_creation_bounds_the_ids_with_slack_for_a_clock_set_back() {
        let filter = Filter::And(vec![
            compare("creationTimestamp", Comparison::Ge, Value::Time(at(1_000_000), None)),
            compare("creationTimestamp", Comparison::Lt, Value::Time(at(2_000_000), None)),
        ]);
        let plan = Plan::new(&query(Some(filter)), "creationTimestamp");
        assert!(!plan.covers(ObjectId::new(at(999_999), u64::MAX)));
        assert!(plan.covers(ObjectId::new(at(1_000_000), 0)));
        assert!(plan.covers(ObjectId::new(at(2_000_000), u64::MAX)));
        assert!(!plan.covers(ObjectId::new(at(2_000_001 + 3_600_000), 0)));
    }

    #[test]
    fn a_list_after_a_record_does_not_contain_it() {
        let id = ObjectId::new(at(5000), 0);
        for (op, covered) in [(Comparison::Gt, id.successor()), (Comparison::Lt, id.predecessor())] {
            let plan = Plan::new(&query(Some(compare("id", op, Value::Id(id)))), "creationTimestamp");
            assert!(!plan.covers(id) && plan.covers(covered), "{op:?}");
        }
        assert_eq!(id.predecessor().successor(), id);
    }

    #[test]
    fn only_the_order_of_creation_needs_no_sorting() {
        let key = |field: &str, descending| SortKey { field: FieldPath::new([field]), descending };
        for (sort, expected) in [
            (vec![], Order::Ids { descending: false }),
            (vec![key("id", true), key("priority", false)], Order::Ids { descending: true }),
            (vec![key("creationTimestamp", true)], Order::Ids { descending: true }),
            (vec![key("creationTimestamp", true), key("id", true)], Order::Ids { descending: true }),
            (vec![key("creationTimestamp", true), key("id", false)], Order::Keys),
            (vec![key("creationTimestamp", false), key("priority", false)], Order::Keys),
            (vec![key("priority", false)], Order::Keys),
        ] {
            assert_eq!(order(&sort, "creationTimestamp"), expected, "{sort:?}");
        }
    }
}
