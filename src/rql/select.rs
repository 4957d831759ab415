//! Reducing records to the selected fields.

use tasklane_model::{
    Json,
    json::scan::{elements, fields, unescape},
};

use super::FieldPath;

/// The record with only the selected fields and its `id`, each exactly as it was written. Fields that the record lacks
/// stay absent. An array on the path to a field keeps only those elements that are objects, each reduced likewise.
pub fn project(select: &[FieldPath], record: &Json) -> Json {
    let id = ["id".to_owned()];
    let paths: Vec<&[String]> = select.iter().map(FieldPath::steps).chain([id.as_slice()]).collect();
    let mut kept = String::new();
    cut(&paths, record.as_str(), &mut kept);
    // Valid parts of JSON, joined in the same way, are valid JSON.
    Json::parse(kept).unwrap_or_else(|_| Json::null())
}

fn cut(paths: &[&[String]], value: &str, kept: &mut String) {
    if paths.iter().any(|path| path.is_empty()) {
        kept.push_str(value);
    } else if value.starts_with('{') {
        let mut separator = '{';
        for (name, below) in fields(value) {
            let step = unescape(name);
            let rest: Vec<&[String]> = paths
                .iter()
                .filter_map(|path| path.split_first())
                .filter(|(own, _)| **own == step)
                .map(|(_, rest)| rest)
                .collect();
            // The path goes on but the value is a scalar: nothing is selected.
            let leads_on = below.starts_with(['{', '[']) || rest.iter().any(|path| path.is_empty());
            if !rest.is_empty() && leads_on {
                kept.push(std::mem::replace(&mut separator, ','));
                kept.push_str(name);
                kept.push(':');
                cut(&rest, below, kept);
            }
        }
        kept.push_str(if separator == '{' { "{}" } else { "}" });
    } else if value.starts_with('[') {
        let mut separator = '[';
        for element in elements(value).filter(|element| element.starts_with('{')) {
            kept.push(std::mem::replace(&mut separator, ','));
            cut(paths, element, kept);
        }
        kept.push_str(if separator == '[' { "[]" } else { "]" });
    } else {
        kept.push_str(value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_id_and_the_selected_fields_are_kept() {
        let record = json!({"id": "1", "status": "new", "data": {"a": 1, "b": {"c": 2, "d": 3}}, "tags": ["x"]});
        for (select, expected) in [
            (vec![vec!["status"]], json!({"id": "1", "status": "new"})),
            (vec![vec!["data", "b", "c"]], json!({"id": "1", "data": {"b": {"c": 2}}})),
            (vec![vec!["data", "a"], vec!["data"]], json!({"id": "1", "data": record["data"]})),
            (vec![vec!["status", "x"], vec!["nothing"]], json!({"id": "1"})),
            (vec![vec!["tags"]], json!({"id": "1", "tags": ["x"]})),
        ] {
            let select: Vec<FieldPath> = select.into_iter().map(FieldPath::new).collect();
            assert_eq!(project(&select, &record.clone().into()).to_value(), expected);
        }
    }

    #[test]
    fn paths_reach_into_the_objects_of_an_array() {
        let record = json!({"id": "1", "data": {"items": [{"sku": 1, "n": 2}, 7, {"n": 3}]}});
        assert_eq!(
            project(&[FieldPath::new(["data", "items", "sku"])], &record.into()).to_value(),
            json!({"id": "1", "data": {"items": [{"sku": 1}, {}]}})
        );
    }

    #[test]
    fn numbers_and_names_are_kept_as_they_were_written() {
        let record =
            r#"{"data":{"n":1.50,"big":123456789012345678901234567890,"a\"b":[1e999],"\ud83d":-0.0},"id":"1","x":2}"#;
        let record = Json::parse(record.to_owned()).unwrap();
        let kept = project(&[FieldPath::new(["data", "n"]), FieldPath::new(["data", "a\"b"])], &record);
        assert_eq!(kept.as_str(), r#"{"data":{"n":1.50,"a\"b":[1e999]},"id":"1"}"#);
        let kept = project(&[FieldPath::new(["data", "\u{FFFD}"])], &record);
        assert_eq!(kept.as_str(), r#"{"data":{"\ud83d":-0.0},"id":"1"}"#);
        let kept = project(&[FieldPath::new(["data", "big"])], &record);
        assert_eq!(kept.as_str(), r#"{"data":{"big":123456789012345678901234567890},"id":"1"}"#);
    }
}
