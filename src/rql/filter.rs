//! The conditions of a query, and whether a record meets them.

use std::cmp::Ordering;

use super::{FieldPath, Value};
use crate::model::json::Node;

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
    pub fn matches(&self, record: &Node<'_>) -> bool {
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

    /// The names of the fields at the top of a record that it asks about.
    pub fn fields(&self) -> Vec<&str> {
        match self {
            Self::And(filters) | Self::Or(filters) => filters.iter().flat_map(Self::fields).collect(),
            Self::Compare { field, .. }
            | Self::In { field, .. }
            | Self::Like { field, .. }
            | Self::Contains { field, .. } => field.steps().first().map(String::as_str).into_iter().collect(),
        }
    }

    /// How often a field is compared with a value at most, to see whether a record meets it.
    pub fn comparisons(&self) -> usize {
        match self {
            Self::And(filters) | Self::Or(filters) => filters.iter().map(Self::comparisons).sum(),
            Self::Compare { .. } | Self::Like { .. } => 1,
            Self::In { values, .. } => values.len(),
            Self::Contains { condition, .. } => condition.as_ref().map_or(1, |condition| condition.comparisons()),
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

fn equals(field: &FieldPath, value: &Value, record: &Node<'_>) -> bool {
    ordered(field, value, record, Ordering::is_eq) || (*value == Value::Null && !field.any(record, &mut |_| true))
}

fn ordered(field: &FieldPath, value: &Value, record: &Node<'_>, wanted: fn(Ordering) -> bool) -> bool {
    any_element(field, record, &mut |found| value.order(found).is_some_and(wanted))
}

/// Whether a value of the field passes the test, or an element of it when it is an array.
fn any_element(field: &FieldPath, record: &Node<'_>, test: &mut dyn FnMut(&Node<'_>) -> bool) -> bool {
    field.any(record, &mut |found| match found {
        Node::Array(elements) => elements.iter().any(&mut *test),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::String(_) | Node::Object(_) => test(found),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        model::Json,
        rql::{Query, Schema},
    };

    fn check(record: serde_json::Value, met: &[&str], unmet: &[&str]) {
        let record = Json::from(record);
        check_text(record.as_str(), met, unmet);
    }

    fn check_text(record: &str, met: &[&str], unmet: &[&str]) {
        let parsed = Json::parse(record.to_owned()).unwrap();
        let matches = |text: &str| Query::parse(text, &Schema::TASKS).unwrap().matches(&parsed.node());
        for text in met {
            assert!(matches(text), "{text} should take {record}");
        }
        for text in unmet {
            assert!(!matches(text), "{text} should not take {record}");
        }
    }

    #[test]
    fn numbers_and_texts_that_look_alike_stay_apart_in_a_users_json() {
        check(
            json!({"data": {"n": 5, "s": "5", "b": true}}),
            &["data.n=5", "data.n=number:5.0", "data.s=string:5", "data.n>4&data.n<6", "data.b=true", "data.s!=5"],
            &["data.n=string:5", "data.s=5", "data.b=string:true", "data.s>4", "data.n=6", "data.n!=5"],
        );
    }

    #[test]
    fn a_field_known_to_hold_texts_is_compared_as_text() {
        check(
            json!({"functionName": "123", "tags": ["7", "x"], "status": "new"}),
            &[
                "functionName=123",
                "in(functionName,122,123)",
                "tags=7",
                "in(tags,(1,7))",
                "like(functionName,2)",
                "ne(tags,8)",
            ],
            &["functionName=1230", "tags=string:8", "ne(tags,7)", "out(tags,1,7)", "like(functionName,4)"],
        );
    }

    #[test]
    fn ids_are_compared_as_hex_digits() {
        check(
            json!({"id": "65ba0000abcdef0123456789"}),
            &["id=65BA0000ABCDEF0123456789", "id>65ba0000abcdef0123456788", "ne(id,nothing)", "like(id,ABCDEF)"],
            &["id=nothing", "in(id,)", "in(id,nothing)", "id<65BA0000ABCDEF0123456789", "in(id,())"],
        );
    }

    #[test]
    fn timestamps_are_compared_as_moments() {
        check(
            json!({"creationTimestamp": "2026-01-31T08:15:30.123Z"}),
            &[
                "creationTimestamp=2026-01-31T09:15:30.123+01:00",
                "creationTimestamp>=2026-01-31",
                "creationTimestamp>2026-01-31T08:15:30Z&creationTimestamp<2026-01-31T08:15:31Z",
                "le(creationTimestamp,epoch:1769847330123)",
                "ge(creationTimestamp,isodate:2026)",
            ],
            &["creationTimestamp<2026-01-31T10:15:30.123+02:00", "ge(creationTimestamp,2027-01-01)"],
        );
    }

    #[test]
    fn an_absent_field_meets_only_what_denies_it() {
        check(
            json!({"data": {"null": null, "list": []}}),
            &[
                "ne(data.x,1)",
                "out(data.x,1)",
                "excludes(data.x)",
                "excludes(data.x,a=1)",
                "data.x=null",
                "data.null=null",
                "contains(data.null)",
                "createdByUserId=null",
            ],
            &[
                "data.x=1",
                "data.x>0",
                "data.x<=9",
                "in(data.x,1)",
                "like(data.x,)",
                "contains(data.x)",
                "ne(data.x,null)",
                "data.list=null",
                "unknown=1",
            ],
        );
    }

    #[test]
    fn arrays_match_by_element() {
        check(
            json!({"data": {"n": [1, 5], "items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}, 9]}}),
            &[
                "data.n=5",
                "data.n>4",
                "data.n<2",
                "data.items.sku=b",
                "data.items.0.sku=a",
                "like(data.items.sku,b)",
                "data.n.1=5",
            ],
            &["data.n=2", "ne(data.n,5)", "out(data.items.sku,b,c)", "data.items.0.sku=b"],
        );
    }

    #[test]
    fn contains_asks_one_element_to_meet_all() {
        check(
            json!({"data": {"items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 3}, 9], "one": {"n": 2}}, "tags": ["vip", "x"]}),
            &[
                "contains(data.items,sku=a,n=1)",
                "contains(data.items,and(gt(n,1),lt(n,4)))",
                "excludes(data.items,and(eq(sku,a),eq(n,3)))",
                "contains(data.one,n=2)",
                "contains(tags,and(vip))",
                "excludes(tags,gold)",
                "contains(data.items,9)",
                "contains(data,contains(items,sku=b))",
            ],
            &[
                "contains(data.items,sku=a,n=3)",
                "excludes(data.items,n=3)",
                // Only objects are asked for fields: 9 has no sku, yet it is not what was meant.
                "contains(data.items,sku!=a,sku!=b)",
                "contains(tags,gold)",
                "excludes(tags)",
            ],
        );
    }

    #[test]
    fn like_finds_the_text_as_it_stands() {
        check(
            json!({"functionName": "send-Mail.v2*"}),
            &["like(functionName,Mail)", "like(functionName,v2*)", "like(functionName,)", "functionName=like=send"],
            &["like(functionName,mail)", "like(functionName,send.Mail)", "like(functionName,s*l)"],
        );
    }

    #[test]
    fn a_number_is_found_by_its_value_however_it_was_written() {
        for (written, met, unmet) in [
            ("0.42451918914251396", &["0.42451918914251396", "4.2451918914251396e-1"][..], &["0.424519189142514"][..]),
            (
                "9007199254740993",
                &["9007199254740993", "9007199254740993.0"],
                &["9007199254740992", "9007199254740994"],
            ),
            (
                "123456789012345680000.0",
                &["123456789012345680000", "1.2345678901234568e+20"],
                &["123456789012345680001"],
            ),
            ("1e21", &["1e+21", "1e21", "1000000000000000000000"], &["1e+22"]),
            ("1e-7", &["1e-7", "1e-07", "0.0000001"], &["0"]),
            ("5.0", &["5", "5.0", "5.00", "0.5e1", "number:5"], &["string:5", "string:5.0", "\"5.0\""]),
            ("-0.0", &["0", "-0", "0.0"], &["1"]),
            ("0.10", &["0.1", "0.10"], &["0.1000000000000000055"]),
            ("1e999", &["1e999", "10e998"], &["1e998"]),
        ] {
            for value in met {
                let queries = [
                    format!("eq(data.v,{value})"),
                    format!("in(data.v,x,{value})"),
                    format!("ge(data.v,{value})&le(data.v,{value})"),
                    format!("contains(data,eq(v,{value}))"),
                ];
                let queries: Vec<_> = queries.iter().map(String::as_str).collect();
                let negated =
                    [format!("ne(data.v,{value})"), format!("out(data.v,{value})"), format!("gt(data.v,{value})")];
                let negated: Vec<_> = negated.iter().map(String::as_str).collect();
                check_text(&format!("{{\"data\":{{\"v\":{written}}}}}"), &queries, &negated);
            }
            for value in unmet {
                let queries = [format!("eq(data.v,{value})"), format!("in(data.v,{value})")];
                let queries: Vec<_> = queries.iter().map(String::as_str).collect();
                check_text(&format!("{{\"data\":{{\"v\":{written}}}}}"), &[], &queries);
            }
        }
    }

    #[test]
    fn a_word_that_javascript_would_not_print_is_found_as_a_text_too() {
        check(
            json!({"data": {"version": "1.10", "id": "12345678901234567890123", "n": "5"}}),
            &["data.version=1.10", "data.id=12345678901234567890123", "ge(data.id,12345678901234567890123)"],
            &["ne(data.version,1.10)", "data.version=1.1", "data.n=5", "data.n=5.0"],
        );
    }
}
