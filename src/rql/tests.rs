//! Properties of the language as a whole: every value round-trips through the official SDK's builder, no string causes a
//! panic, and a naive evaluator gives the same results.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

/// A value as the SDK's builder writes it.
pub(super) fn encoded_twice(text: &str) -> String {
    encoded_once(&encoded_once(text))
}

fn encoded_once(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn matches(text: &str, record: &Json) -> bool {
    Query::parse(text, &Schema::TASKS)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .matches(&text_of(record).node())
}

fn text_of(record: &Json) -> tasklane_model::Json {
    record.clone().into()
}

mod sdk {
    use super::*;

    /// Made by the SDK itself, with tests/vectors/rql-builder.mjs.
    fn recorded() -> Json {
        serde_json::from_str(include_str!("../../tests/vectors/rql-builder.json")).unwrap()
    }

    fn cases(group: &str) -> Vec<(Json, String)> {
        let cases = recorded()[group].as_array().unwrap().clone();
        assert!(!cases.is_empty());
        cases.into_iter().map(|case| (case["value"].clone(), case["query"].as_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn every_awkward_value_finds_exactly_its_record() {
        let holding = |value: &Json| json!({"data": {"key": value}});
        let other = |value: &Json| holding(&json!(format!("{}~", value.as_str().unwrap())));
        for (group, found_by_value, found_by_other) in
            [("eq", true, false), ("ne", false, true), ("in", true, false), ("out", false, true), ("like", true, true)]
        {
            for (value, query) in cases(group) {
                assert_eq!(matches(&query, &holding(&value)), found_by_value, "{query}");
                assert_eq!(matches(&query, &other(&value)), found_by_other, "{query}");
            }
        }
        for (tag, query) in cases("tags") {
            assert!(matches(&query, &json!({"tags": ["first", tag]})), "{query}");
            assert!(!matches(&query, &json!({"tags": ["first"]})), "{query}");
        }
        for (value, query) in cases("typed") {
            assert!(matches(&query, &holding(&value)), "{query}");
            assert!(!matches(&query, &holding(&json!(value.to_string()))), "{query}");
        }
    }

    #[test]
    fn every_way_to_write_a_date_gives_the_same_timestamp() {
        for query in recorded()["moments"].as_array().unwrap() {
            let query = query.as_str().unwrap();
            assert!(matches(query, &json!({"creationTimestamp": "2026-11-24T03:11:13.000Z"})), "{query}");
            assert!(!matches(query, &json!({"creationTimestamp": "2026-11-24T03:11:13.001Z"})), "{query}");
        }
    }

    #[test]
    fn composed_queries_combine_the_meaning_of_their_parts() {
        let recorded = recorded();
        let composed = |name: &str| recorded["composed"][name].as_str().unwrap_or_else(|| panic!("{name}")).to_owned();
        for (name, met, unmet) in [
            ("or", json!({"functionName": "b", "priority": 4}), json!({"functionName": "b", "priority": 3})),
            (
                "intermediateOfTwo",
                json!({"functionName": "a", "status": "new"}),
                json!({"functionName": "a", "status": "x"}),
            ),
            ("containsTwo", json!({"data": {"items": [{"n": 2}]}}), json!({"data": {"items": [{"n": 1}, {"n": 3}]}})),
            ("excludes", json!({"data": {"items": [{"n": 2}]}}), json!({"data": {"items": [{"n": 1}]}})),
            ("containsPresence", json!({"data": {"items": null}}), json!({"data": {}})),
            ("containsValue", json!({"tags": ["vip"]}), json!({"tags": ["v"]})),
            (
                "replacedLimit",
                json!({"functionName": "a", "status": "new"}),
                json!({"functionName": "a", "status": "x"}),
            ),
            (
                "unencoded",
                json!({"functionName": "a-b_c", "creationTimestamp": "2026-01-31T08:15:30.123Z"}),
                json!({"functionName": "a-b_c", "creationTimestamp": "2026-01-31T08:15:30.122Z"}),
            ),
        ] {
            assert!(matches(&composed(name), &met), "{name}");
            assert!(!matches(&composed(name), &unmet), "{name}");
        }
        let query = |name: &str| Query::parse(&composed(name), &Schema::TASKS).unwrap();
        assert_eq!(query("empty"), Query::everything());
        assert_eq!(query("emptyIn").filter.unwrap().required_ids(), Some(vec![]));
        assert_eq!(query("replacedLimit").window, Window { limit: 50, offset: 50 });
        let everything = query("everything");
        assert_eq!(everything.window, Window { limit: 10, offset: 20 });
        assert!(everything.skip_count && everything.filter.is_none());
        assert_eq!((everything.sort.len(), everything.select.map(|fields| fields.len())), (2, Some(2)));
    }
}

/// A condition that is simple enough to be evaluated without the code under test.
#[derive(Clone, Debug)]
enum Naive {
    And(Vec<Naive>),
    Or(Vec<Naive>),
    Compare(&'static str, &'static str, Json),
    In(&'static str, Vec<Json>, bool),
    Contains(&'static str, Option<Box<Naive>>, bool),
}

impl Naive {
    fn written(&self, encode: fn(&str) -> String) -> String {
        let literal = |value: &Json| match value {
            Json::String(text) => format!("string:{}", encode(text)),
            other => encode(&other.to_string()),
        };
        let each = |all: &[Self]| all.iter().map(|one| one.written(encode)).collect::<Vec<_>>().join(",");
        match self {
            Self::And(all) => format!("and({})", each(all)),
            Self::Or(some) => format!("or({})", each(some)),
            Self::Compare(field, op, value) => format!("{op}({field},{})", literal(value)),
            Self::In(field, values, negated) => {
                let op = if *negated { "out" } else { "in" };
                format!("{op}({field},({}))", values.iter().map(literal).collect::<Vec<_>>().join(","))
            }
            Self::Contains(field, condition, negated) => {
                let op = if *negated { "excludes" } else { "contains" };
                let condition = condition.as_ref().map_or(String::new(), |one| format!(",{}", one.written(encode)));
                format!("{op}({field}{condition})")
            }
        }
    }

    fn holds(&self, record: &Json) -> bool {
        match self {
            Self::And(all) => all.iter().all(|one| one.holds(record)),
            Self::Or(some) => some.iter().any(|one| one.holds(record)),
            Self::Compare(field, op, value) => {
                let found = leaves(record, field);
                let equal =
                    found.iter().any(|one| one == value) || (value.is_null() && whole(record, field).is_empty());
                let ordered = |wanted: fn(f64, f64) -> bool, texts: fn(&str, &str) -> bool| {
                    found.iter().any(|one| match (one, value) {
                        (Json::Number(a), Json::Number(b)) => wanted(a.as_f64().unwrap(), b.as_f64().unwrap()),
                        (Json::String(a), Json::String(b)) => texts(a, b),
                        (Json::Bool(a), Json::Bool(b)) => wanted(f64::from(u8::from(*a)), f64::from(u8::from(*b))),
                        _ => false,
                    })
                };
                match *op {
                    "eq" => equal,
                    "ne" => !equal,
                    "gt" => ordered(|a, b| a > b, |a, b| a > b),
                    "ge" => ordered(|a, b| a >= b, |a, b| a >= b),
                    "lt" => ordered(|a, b| a < b, |a, b| a < b),
                    "le" => ordered(|a, b| a <= b, |a, b| a <= b),
                    other => panic!("{other}"),
                }
            }
            Self::In(field, values, negated) => {
                let equal = |value: &Json| Self::Compare(field, "eq", value.clone()).holds(record);
                values.iter().any(equal) != *negated
            }
            Self::Contains(field, None, negated) => whole(record, field).is_empty() == *negated,
            Self::Contains(field, Some(condition), negated) => {
                let objects = leaves(record, field).into_iter().filter(Json::is_object);
                objects.into_iter().any(|element| condition.holds(&element)) != *negated
            }
        }
    }
}

/// The values at a dotted path, arrays at its end whole.
fn whole(record: &Json, path: &str) -> Vec<Json> {
    path.split('.').fold(vec![record.clone()], |found, step| {
        let spread = found.into_iter().flat_map(|value| match value {
            Json::Array(elements) => elements,
            other => vec![other],
        });
        spread.filter_map(|value| value.as_object()?.get(step).cloned()).collect()
    })
}

/// The values at a dotted path, arrays at its end by element.
fn leaves(record: &Json, path: &str) -> Vec<Json> {
    let spread = whole(record, path).into_iter().flat_map(|value| match value {
        Json::Array(elements) => elements,
        other => vec![other],
    });
    spread.collect()
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-3..4_i64).prop_map(Json::from),
        (-3..4_i64).prop_map(|n| json!(n as f64 + 0.5)),
        prop_oneof![Just(""), Just("a"), Just("b c"), Just("5"), Just("true"), Just("é(%),&|'+")].prop_map(Json::from),
    ]
}

/// No arrays within arrays: the language does not define them.
fn document() -> impl Strategy<Value = Json> {
    let name = || prop_oneof![Just("a"), Just("b"), Just("c")];
    scalar().prop_recursive(3, 24, 4, move |inner| {
        let object = prop::collection::btree_map(name(), inner, 0..4).prop_map(|map| json!(map));
        let element = prop_oneof![scalar(), object.clone()];
        prop_oneof![3 => object, 1 => prop::collection::vec(element, 0..4).prop_map(Json::from)]
    })
}

fn condition() -> impl Strategy<Value = Naive> {
    let field = || prop_oneof![Just("a"), Just("b"), Just("a.b"), Just("b.a.c"), Just("c.a")];
    let compare = prop_oneof![
        (field(), prop_oneof![Just("eq"), Just("ne")], scalar()).prop_map(|(f, op, v)| Naive::Compare(f, op, v)),
        (
            field(),
            prop_oneof![Just("gt"), Just("ge"), Just("lt"), Just("le")],
            scalar().prop_filter("null has no order", |value| !value.is_null())
        )
            .prop_map(|(f, op, v)| Naive::Compare(f, op, v)),
        (field(), prop::collection::vec(scalar(), 0..3), any::<bool>()).prop_map(|(f, v, n)| Naive::In(f, v, n)),
        (field(), any::<bool>()).prop_map(|(f, n)| Naive::Contains(f, None, n)),
    ];
    compare.prop_recursive(4, 24, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Naive::And),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Naive::Or),
            (field(), inner, any::<bool>()).prop_map(|(f, c, n)| Naive::Contains(f, Some(Box::new(c)), n)),
        ]
    })
}

/// No field is known, so types are guessed or given by casts.
const OPEN: Schema = Schema { fields: &[] };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_naive_evaluator_gives_the_same_result(condition in condition(), document in document()) {
        for encode in [encoded_once, encoded_twice] {
            let text = condition.written(encode);
            let query = Query::parse(&text, &OPEN).unwrap_or_else(|error| panic!("{text}: {error}"));
            prop_assert_eq!(query.matches(&text_of(&document).node()), condition.holds(&document), "{}", text);
        }
    }

    #[test]
    fn any_string_that_the_builder_encodes_is_read_back_unchanged(text in any::<String>()) {
        let query = format!("eq(tags,{})", encoded_twice(&text));
        let (same, other) = (json!({"tags": [text]}), json!({"tags": [format!("{text}.")]}));
        prop_assert_eq!((matches(&query, &same), matches(&query, &other)), (true, false));
    }

    #[test]
    fn no_string_causes_a_panic(text in any::<String>(), near in "[a-c=<>!()&|,%'\":.+0-9-]{0,40}", likely in "((eq|in|or|and|contains|sort|limit|select)?[(]?(a|id|data[.]a|priority)?[,)&|=<>]?(string:|date:|epoch:|%2[58]|%7C|%3C)?[0-9a]{0,3}[)]?){0,6}") {
        for schema in [&Schema::TASKS, &Schema::SCHEDULES, &Schema::API_REQUESTS] {
            for text in [&text, &near, &likely] {
                if let Ok(query) = Query::parse(text, schema) {
                    query.matches(&text_of(&json!({"id": "x", "a": [1, {"a": "1"}], "data": {"a": "2026-01-31"}})).node());
                }
                let _ = (run_log_bounds(text), function_log_bounds(text));
            }
        }
    }

    /// The planner relies on this: a record that meets the filter satisfies all its requirements.
    #[test]
    fn a_matching_record_satisfies_the_facts(
        parts in prop::collection::vec((0..6_usize, 0..4_i64, 0..4_i64), 1..6),
        joins in prop::collection::vec(any::<bool>(), 6),
        record in (0..4_i64, 0..4_i64),
    ) {
        let at = |n: i64| format!("2026-01-0{}T00:00:00.000Z", n + 1);
        let written = parts.iter().zip(joins).fold(String::new(), |so_far, ((op, n, m), and)| {
            let one = match op {
                0 => format!("functionName=f{n}"),
                1 => format!("in(functionName,f{n},f{m})"),
                2 => format!("creationTimestamp>{}", at(*n)),
                3 => format!("creationTimestamp<={}", at(*n)),
                4 => format!("in(creationTimestamp,{},{})", at(*n), at(*m)),
                _ => format!("creationTimestamp!={}", at(*n)),
            };
            match (so_far.is_empty(), and) {
                (true, _) => one,
                (false, true) => format!("and({so_far},{one})"),
                (false, false) => format!("or({so_far},{one})"),
            }
        });
        let filter = Query::parse(&written, &Schema::TASKS).unwrap().filter.unwrap();
        let (name, time) = (format!("f{}", record.0), at(record.1));
        if filter.matches(&text_of(&json!({"functionName": name, "creationTimestamp": time})).node()) {
            if let Some(names) = filter.required_values("functionName") {
                prop_assert!(names.contains(&name.as_str()), "{}", written);
            }
            use std::ops::RangeBounds;
            let range = filter.required_range("creationTimestamp");
            prop_assert!(range.contains(&time.parse().unwrap()), "{}", written);
        }
    }
}
