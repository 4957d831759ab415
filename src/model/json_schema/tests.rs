//! The official test suite of JSON Schema, as of commit 44401e0c of github.com/json-schema-org/JSON-Schema-Test-Suite without
//! what needs several documents, and what is bounded.

use std::fmt::Write as _;

use super::*;

fn json(text: &str) -> Json {
    Json::parse(text.to_owned()).unwrap()
}

fn schema(text: &str) -> JsonSchema {
    JsonSchema::parse(&json(text)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> String {
    JsonSchema::parse(&json(text)).map(|_| ()).unwrap_err().to_string()
}

/// What is wrong with data, if anything is.
fn misfit(schema_text: &str, data: &str) -> Option<String> {
    let compiled = schema(schema_text).compile().unwrap();
    compiled.check(Some(&json(data))).err().map(|misfit| misfit.to_string())
}

#[derive(serde::Deserialize)]
struct Group {
    description: String,
    schema: Json,
    tests: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    description: String,
    #[serde(deserialize_with = "crate::json::even_null")]
    data: Option<Json>,
    valid: bool,
}

#[test]
fn the_official_suite_passes() {
    for (draft, at_least, suite) in [
        ("draft-07", 700, include_str!("../../../tests/vectors/json-schema-test-suite/draft7.json")),
        ("draft/2019-09", 1100, include_str!("../../../tests/vectors/json-schema-test-suite/draft2019-09.json")),
        ("draft/2020-12", 1100, include_str!("../../../tests/vectors/json-schema-test-suite/draft2020-12.json")),
    ] {
        let files: std::collections::BTreeMap<String, Vec<Group>> = serde_json::from_str(suite).unwrap();
        let (mut passed, mut wrong) = (0, String::new());
        for (file, groups) in &files {
            for group in groups {
                let compiled = match JsonSchema::parse(&of_draft(&group.schema, draft)) {
                    Ok(schema) => schema.compile().unwrap(),
                    Err(error) if is_expected(&error) => continue,
                    Err(error) => {
                        writeln!(wrong, "{file}: {}: {error}", group.description).unwrap();
                        continue;
                    }
                };
                for case in &group.tests {
                    match compiled.check(case.data.as_ref()) {
                        outcome if outcome.is_ok() == case.valid => passed += 1,
                        outcome => {
                            let (group, case) = (&group.description, &case.description);
                            writeln!(wrong, "{file}: {group}: {case}: {outcome:?}").unwrap();
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty() && passed >= at_least, "{draft}: {passed} passed\n{wrong}");
    }
}

/// The schema with the draft that the suite means.
fn of_draft(schema: &Json, draft: &str) -> Json {
    let text = schema.as_str();
    match text.strip_prefix('{') {
        Some(rest) if !text.contains("\"$schema\"") => {
            let comma = if rest == "}" { "" } else { "," };
            json(&format!("{{\"$schema\":\"https://json-schema.org/{draft}/schema\"{comma}{rest}"))
        }
        Some(_) | None => schema.clone(),
    }
}

/// What a schema of the suite may be refused for: it refers to other documents, it consists of several, its expressions need
/// Unicode tables, or no value could ever fit it.
fn is_expected(error: &InvalidSchema) -> bool {
    let rules = [
        "a schema can refer only to itself",
        "can be set only for the whole",
        "and \\p",
        "must have at least one value",
    ];
    rules.iter().any(|rule| error.rule.contains(rule))
}

#[test]
fn a_problem_names_the_place_and_what_is_expected_but_no_value() {
    let order = r##"{ "type": "object", "required": ["to", "items"], "additionalProperties": false, "properties": {
        "to": { "type": "string", "pattern": "@", "maxLength": 20 }, "kind": { "enum": ["a", 1] },
        "items": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/item" } },
        "a/b~c": { "type": ["integer", "null"], "exclusiveMinimum": 0 },
        "when": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
        "who": { "oneOf": [{ "type": "object", "required": ["id"] }, { "type": "null" }] } },
        "$defs": { "item": { "type": "number", "multipleOf": 0.01 } } }"##;
    let wrong = |data: &str| misfit(order, data).unwrap_or_default();
    assert_eq!(misfit(order, r#"{"to":"a@b","items":[4.35, 1e2],"a/b~c":1.0}"#), None);
    assert_eq!(wrong("null"), "it must be an object");
    assert_eq!(wrong("{}"), "it must have the properties 'to', 'items'");
    assert_eq!(
        wrong(r#"{"to":"secret","items":[]}"#),
        "'/items' must have at least 1 item; '/to' must match the pattern @"
    );
    assert_eq!(
        wrong(r#"{"to":"@","items":[1,2.345,"x"]}"#),
        "'/items/1' must be a multiple of 0.01; '/items/2' must be a number"
    );
    assert_eq!(wrong(r#"{"to":"@","items":[1],"secret":"x"}"#), "'/secret' must be absent");
    assert_eq!(wrong(r#"{"to":"@","items":[1],"kind":"secret"}"#), "'/kind' must be one of \"a\", 1");
    assert_eq!(wrong(r#"{"to":"@","items":[1],"a/b~c":0}"#), "'/a~1b~0c' must be more than 0");
    assert_eq!(wrong(r#"{"to":"@","items":[1],"when":5}"#), "'/when' must be a string or null");
    assert_eq!(wrong(r#"{"to":"@","items":[1],"who":{}}"#), "'/who' must have the property 'id'");
    let many = wrong(r#"{"to":1,"items":1,"a/b~c":"","when":1,"who":1}"#);
    assert_eq!((many.matches("; ").count(), many.ends_with("; and more")), (3, true), "{many}");
    // However long names are.
    let long = format!(r#"{{"to":"@","items":[1],"{}":1}}"#, "é".repeat(10_000));
    assert!(wrong(&long).len() < 300, "{}", wrong(&long));
}

#[test]
fn absent_data_counts_as_null() {
    let check = |text: &str| schema(text).compile().unwrap().check(None).is_ok();
    assert!(check("true") && check("{}") && check(r#"{"type":["object","null"]}"#));
    assert!(!check("false") && !check(r#"{"type":"object"}"#));
}

#[test]
fn numbers_are_read_digit_by_digit() {
    for (schema, data, fits) in [
        (r#"{"multipleOf":0.01}"#, "4.35", true),
        (r#"{"multipleOf":0.01}"#, "4.355", false),
        (r#"{"maximum":9007199254740992}"#, "9007199254740993", false),
        (r#"{"minimum":9007199254740993}"#, "9007199254740992", false),
        (r#"{"type":"integer"}"#, "9007199254740993.0", true),
        (r#"{"type":"integer"}"#, "123456789012345678901234567890", true),
        (r#"{"const":9007199254740993}"#, "9007199254740992", false),
        (r#"{"const":1e2}"#, "100.0", true),
        (r#"{"maximum":1}"#, "1e-999999", true),
        (r#"{"multipleOf":7}"#, "1e999999999", false),
    ] {
        assert_eq!(misfit(schema, data).is_none(), fits, "{schema} {data}");
    }
}

#[test]
fn a_schema_that_is_none_is_refused_with_the_place() {
    for (text, error) in [
        ("7", "it must be an object, true or false"),
        (r#"{"properties":{"a":{"type":"strin"}}}"#, "'/properties/a/type' must be object, array"),
        (r#"{"required":true}"#, "'/required' must be a list of different names"),
        (r#"{"$defs":{"a/b":[]}}"#, "'/$defs/a~1b' must be an object, true or false"),
        (r#"{"items":[{}]}"#, "'/items' must be an object, true or false"),
        (r#"{"minLength":-1}"#, "'/minLength' must be a whole number that is not negative"),
        (r#"{"multipleOf":0}"#, "'/multipleOf' must be more than 0"),
        (r#"{"pattern":"("}"#, "'/pattern' must be a regular expression"),
        (r##"{"$ref":"#/$defs/none"}"##, "'/$ref' must lead to a place that exists in this schema"),
        (r##"{"$ref":"#none"}"##, "'/$ref' must lead to a place that exists in this schema"),
        (r#"{"$ref":"file:///etc/passwd"}"#, "'/$ref' must begin with '#'"),
        (r#"{"$ref":"other.json"}"#, "'/$ref' must begin with '#'"),
        (
            r#"{"$schema":"http://json-schema.org/draft-04/schema#"}"#,
            "'/$schema' must be one of https://json-schema.org/draft-07/schema, ",
        ),
        (r##"{"$ref":"#"}"##, "it refers to itself without going deeper into the data"),
        (r##"{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}}}"##, "refers to itself"),
    ] {
        assert!(refusal(text).contains(error), "{text}: {}", refusal(text));
    }
    let large = format!(r#"{{"title":"{}"}}"#, "x".repeat(JsonSchema::MAX_BYTES));
    assert_eq!(refusal(&large), "must be a JSON Schema: it takes 17 KB; at most 16 KB are allowed");
    let deep = |levels: usize| format!("{}{{}}{}", r#"{"not":"#.repeat(levels), "}".repeat(levels));
    assert!(refusal(&deep(64)).contains("nests deeper than 64 levels"));
    schema(&deep(63));
    // White space does not count.
    let spaced = schema(&format!("{{ \"title\" :{}\"a b\" }}", " ".repeat(JsonSchema::MAX_BYTES)));
    assert_eq!(spaced.as_json().as_str(), r#"{"title":"a b"}"#);
}

/// In a thread whose stack is half as large as that of the threads that do it.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

/// Each of these takes other validators longer than anybody waits, or more stack than there is.
#[test]
fn the_work_of_a_check_is_bounded() {
    // A pattern that engines with backtracking try in every way.
    let text = format!("\"{}!\"", "a".repeat(200_000));
    assert!(misfit(r#"{"pattern":"^(a+)+$"}"#, &text).is_some());
    // Two references to the next one, forty times.
    let chain: String = (0..40)
        .map(|n| format!(r##""d{n}":{{"allOf":[{{"$ref":"#/$defs/d{0}"}},{{"$ref":"#/$defs/d{0}"}}]}},"##, n + 1))
        .collect();
    let doubling = format!(r##"{{"$defs":{{{chain}"d40":{{"type":"object"}}}},"$ref":"#/$defs/d0"}}"##);
    assert_eq!(misfit(&doubling, "{}"), None);
    assert_eq!(misfit(&doubling, "[]").as_deref(), Some("it must be an object"));
    assert!(misfit(&doubling, "1").unwrap().contains("must be an object"));
    // Two ways through each level of the data.
    let tree = r##"{"$defs":{"t":{"type":"object","anyOf":[
        {"properties":{"x":{"$ref":"#/$defs/t"}},"required":["q"]},
        {"properties":{"x":{"$ref":"#/$defs/t"}}}]}},"$ref":"#/$defs/t"}"##;
    let deep = |inner: &str| format!("{}{inner}{}", r#"{"x":"#.repeat(90), "}".repeat(90));
    assert_eq!(misfit(tree, &deep("{}")), None);
    assert!(misfit(tree, &deep("1")).is_some());
    // The deepest check that there can be, with the largest steps, on a stack of half the usual size.
    let steps = r##"{"$defs":{"t":{"oneOf":[{"allOf":[{"if":true,"then":{"contains":true,"items":{"$ref":"#/$defs/t"}}}]},false]}},"$ref":"#/$defs/t"}"##;
    let nested = format!("{}{}", "[".repeat(98), "]".repeat(98));
    on_a_small_stack(move || assert!(misfit(steps, &nested).unwrap().contains("nests too deep")));
    let steps = r##"{"$defs":{"t":{"anyOf":[{"properties":{"x":{"$ref":"#/$defs/t"}},"unevaluatedProperties":false}]}},"$ref":"#/$defs/t"}"##;
    let nested = deep("{}");
    on_a_small_stack(move || assert_eq!(misfit(steps, &nested), None));
    // References upon references for each level of the data.
    let links: String = (0..300).map(|n| format!(r##""l{n}":{{"$ref":"#/$defs/l{}"}},"##, n + 1)).collect();
    let linked = format!(
        r##"{{"$defs":{{{links}"l300":{{"properties":{{"x":{{"$ref":"#/$defs/l0"}}}}}}}},"$ref":"#/$defs/l0"}}"##
    );
    assert_eq!(misfit(&linked, "{}"), None);
    let nested = deep("{}");
    on_a_small_stack(move || assert!(misfit(&linked, &nested).unwrap().contains("nests too deep")));
    // Many items, each compared with many values; and a flat list is no problem.
    let values = (0..2000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let items = vec!["9999"; 50_000].join(",");
    let (values, items) = (format!(r#"{{"items":{{"not":{{"enum":[{values}]}}}}}}"#), format!("[{items}]"));
    assert!(misfit(&values, &items).unwrap().contains("too much work"));
    assert_eq!(
        misfit(r##"{"items":{"$ref":"#/$defs/n"},"$defs":{"n":{"type":"integer","minimum":0}}}"##, &items),
        None
    );
}

#[test]
fn a_list_as_long_as_data_may_be_can_be_checked() {
    let items = format!("[{}0]", "0,".repeat(127_000));
    assert_eq!(misfit(r#"{"type":"array","items":{"type":"integer","minimum":0,"maximum":9}}"#, &items), None);
    assert_eq!(misfit(r#"{"contains":{"const":1},"minContains":0}"#, &items), None);
    assert!(misfit(r#"{"uniqueItems":true}"#, &items).is_some());
}
