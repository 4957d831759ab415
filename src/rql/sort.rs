//! The order of a list.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::{FieldPath, value::compare_numbers};

/// One key of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// By which field.
    pub field: FieldPath,
    /// Whether the greatest comes first.
    pub descending: bool,
}

impl SortKey {
    /// Compares two records by these keys; records that are equal in all of them are left for the caller to order.
    ///
    /// Values of different kinds stand in MongoDB's order: absent and `null`, numbers, texts, objects, arrays,
    /// booleans. An array with elements stands where its least element does (its greatest, when descending).
    pub fn compare(keys: &[Self], a: &Json, b: &Json) -> Ordering {
        keys.iter().map(|key| key.order(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    fn order(&self, a: &Json, b: &Json) -> Ordering {
        let order = compare_values(&self.representative(a), &self.representative(b));
        if self.descending { order.reverse() } else { order }
    }

    fn representative(&self, record: &Json) -> Json {
        let mut best: Option<Json> = None;
        let mut consider = |found: &Json| {
            let better = match &best {
                None => true,
                Some(best) if self.descending => compare_values(found, best).is_gt(),
                Some(best) => compare_values(found, best).is_lt(),
            };
            if better {
                best = Some(found.clone());
            }
        };
        self.field.any(record, &mut |found| {
            match found {
                Json::Array(elements) if !elements.is_empty() => elements.iter().for_each(&mut consider),
                other => consider(other),
            }
            false
        });
        best.unwrap_or(Json::Null)
    }
}

fn compare_values(a: &Json, b: &Json) -> Ordering {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => compare_numbers(a, b).unwrap_or(Ordering::Equal),
        (Json::String(a), Json::String(b)) => a.cmp(b),
        (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Json) -> u8 {
    match value {
        Json::Null => 0,
        Json::Number(_) => 1,
        Json::String(_) => 2,
        Json::Object(_) => 3,
        Json::Array(_) => 4,
        Json::Bool(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sorted(keys: &[SortKey], mut records: Vec<Json>) -> Vec<Json> {
        records.sort_by(|a, b| SortKey::compare(keys, a, b));
        records
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
    fn kinds_stand_in_mongodbs_order_and_numbers_beyond_a_double_stay_apart() {
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
    fn an_array_stands_where_its_outermost_element_does() {
        let (a, b) = (json!({"v": [1, 9]}), json!({"v": 5}));
        let key = |descending| SortKey { field: FieldPath::new(["v"]), descending };
        assert!(SortKey::compare(&[key(false)], &a, &b).is_lt());
        assert!(SortKey::compare(&[key(true)], &a, &b).is_lt());
    }
}
