//! The order of a list.

use std::cmp::Ordering;

use tasklane_model::json::{Node, number};

use super::FieldPath;

/// One key of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The field.
    pub field: FieldPath,
    /// Whether the greatest value comes first.
    pub descending: bool,
}

/// The values that a record is sorted by, one for each key of the order.
#[derive(Clone, Debug, PartialEq)]
pub struct SortValues(Vec<SortValue>);

/// A value that a record is sorted by. The variants are in MongoDB's order of types.
#[derive(Clone, Debug, PartialEq)]
enum SortValue {
    Absent,
    Number(String),
    Text(String),
    Object,
    EmptyArray,
    Bool(bool),
}

impl SortKey {
    /// The values that the record is sorted by.
    ///
    /// An array with elements is sorted by its least element (descending: by its greatest).
    pub fn values(keys: &[Self], record: &Node<'_>) -> SortValues {
        SortValues(keys.iter().map(|key| key.value(record)).collect())
    }

    /// Compares two records by their values; the caller orders records that are equal in all of them. Values of different
    /// types are in MongoDB's order: absent and `null`, numbers, strings, objects, arrays, booleans.
    pub fn compare(keys: &[Self], a: &SortValues, b: &SortValues) -> Ordering {
        let orders = keys.iter().zip(a.0.iter().zip(&b.0)).map(|(key, (a, b))| key.directed(a.order(b)));
        orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    fn directed(&self, order: Ordering) -> Ordering {
        if self.descending { order.reverse() } else { order }
    }

    fn value(&self, record: &Node<'_>) -> SortValue {
        let mut first: Option<SortValue> = None;
        let mut consider = |found: &Node<'_>| {
            let found = SortValue::of(found);
            if first.as_ref().is_none_or(|first| self.directed(found.order(first)).is_lt()) {
                first = Some(found);
            }
        };
        self.field.any(record, &mut |found| {
            match found {
                Node::Array(elements) if !elements.is_empty() => elements.iter().for_each(&mut consider),
                other => consider(other),
            }
            false
        });
        first.unwrap_or(SortValue::Absent)
    }
}

impl SortValues {
    /// Roughly how much memory the values take, in bytes.
    pub fn size(&self) -> usize {
        let texts = self.0.iter().map(|value| match value {
            SortValue::Number(text) | SortValue::Text(text) => text.len(),
            SortValue::Absent | SortValue::Object | SortValue::EmptyArray | SortValue::Bool(_) => 0,
        });
        texts.sum::<usize>() + self.0.len() * size_of::<SortValue>()
    }
}

impl SortValue {
    fn of(found: &Node<'_>) -> Self {
        match found {
            Node::Null => Self::Absent,
            Node::Bool(flag) => Self::Bool(*flag),
            Node::Number(text) => Self::Number((*text).to_owned()),
            Node::String(text) => Self::Text(text.clone().into_owned()),
            Node::Array(_) => Self::EmptyArray,
            Node::Object(_) => Self::Object,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => number::compare(a, b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Absent => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
            Self::Object => 3,
            Self::EmptyArray => 4,
            Self::Bool(_) => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use tasklane_model::Json;

    fn compared(keys: &[SortKey], a: &Json, b: &Json) -> Ordering {
        SortKey::compare(keys, &SortKey::values(keys, &a.node()), &SortKey::values(keys, &b.node()))
    }

    fn sorted(keys: &[SortKey], records: Vec<Value>) -> Vec<Value> {
        let mut records: Vec<_> = records.into_iter().map(Json::from).collect();
        records.sort_by(|a, b| compared(keys, a, b));
        records.iter().map(Json::to_value).collect()
    }

    #[test]
    fn a_later_key_decides_only_where_the_earlier_ones_are_equal() {
        let keys = [
            SortKey { field: FieldPath::new(["p"]), descending: true },
            SortKey { field: FieldPath::new(["n"]), descending: false },
        ];
        let records = vec![json!({"p": 1, "n": "a"}), json!({"p": 2, "n": "b"}), json!({"p": 2, "n": "a"})];
        assert_eq!(
            sorted(&keys, records),
            [json!({"p": 2, "n": "a"}), json!({"p": 2, "n": "b"}), json!({"p": 1, "n": "a"})]
        );
    }

    #[test]
    fn types_are_in_mongodbs_order_and_large_numbers_keep_their_precision() {
        let ascending = [
            json!({}),
            json!({"v": -1}),
            json!({"v": 9_007_199_254_740_992_i64}),
            json!({"v": 9_007_199_254_740_993_i64}),
            json!({"v": "2"}),
            json!({"v": {}}),
            json!({"v": []}),
            json!({"v": false}),
            json!({"v": true}),
        ];
        let key = SortKey { field: FieldPath::new(["v"]), descending: false };
        let backwards = ascending.iter().rev().cloned().collect();
        assert_eq!(sorted(&[key], backwards), ascending);
    }

    #[test]
    fn an_array_is_sorted_by_its_least_or_greatest_element() {
        let (a, b) = (json!({"v": [1, 9]}).into(), json!({"v": 5}).into());
        let key = |descending| SortKey { field: FieldPath::new(["v"]), descending };
        assert!(compared(&[key(false)], &a, &b).is_lt());
        assert!(compared(&[key(true)], &a, &b).is_lt());
    }

    #[test]
    fn numbers_are_sorted_by_value_in_any_notation() {
        let ascending = [
            "-1e3",
            "-0.5",
            "0",
            "1e-7",
            "0.1",
            "1.0",
            "1.50",
            "9007199254740993",
            "123456789012345680001",
            "1e21",
            "1e400",
        ];
        let record = |number: &&str| Json::parse(format!("{{\"v\":{number}}}")).unwrap();
        let key = SortKey { field: FieldPath::new(["v"]), descending: false };
        let mut records: Vec<_> = ascending.iter().rev().map(record).collect();
        records.sort_by(|a, b| compared(std::slice::from_ref(&key), a, b));
        assert_eq!(records, ascending.iter().map(record).collect::<Vec<_>>());
    }
}
