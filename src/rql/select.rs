//! Cutting records down to the selected fields.

use serde_json::{Map, Value as Json};

use super::FieldPath;

/// The record with the selected fields only, and its `id`. Fields that it lacks stay absent; an array on the way to
/// a field keeps those of its elements that are objects, each cut down by itself.
pub fn project(select: &[FieldPath], record: Json) -> Json {
    let id = ["id".to_owned()];
    let paths: Vec<&[String]> = select.iter().map(FieldPath::steps).chain([id.as_slice()]).collect();
    cut(&paths, record)
}

fn cut(paths: &[&[String]], value: Json) -> Json {
    if paths.iter().any(|path| path.is_empty()) {
        return value;
    }
    match value {
        Json::Object(object) => {
            let mut kept = Map::new();
            for (name, below) in object {
                let rest: Vec<&[String]> = paths
                    .iter()
                    .filter_map(|path| path.split_first())
                    .filter(|(step, _)| **step == name)
                    .map(|(_, rest)| rest)
                    .collect();
                if rest.is_empty() {
                    continue;
                }
                // A scalar where the path goes on has nothing that was selected.
                let leads_on = below.is_object() || below.is_array() || rest.iter().any(|path| path.is_empty());
                if leads_on {
                    kept.insert(name, cut(&rest, below));
                }
            }
            Json::Object(kept)
        }
        Json::Array(elements) => {
            Json::Array(elements.into_iter().filter(Json::is_object).map(|element| cut(paths, element)).collect())
        }
        scalar @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) => scalar,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_the_id_and_what_was_selected() {
        let record = json!({"id": "1", "status": "new", "data": {"a": 1, "b": {"c": 2, "d": 3}}, "tags": ["x"]});
        for (select, expected) in [
            (vec![vec!["status"]], json!({"id": "1", "status": "new"})),
            (vec![vec!["data", "b", "c"]], json!({"id": "1", "data": {"b": {"c": 2}}})),
            (vec![vec!["data", "a"], vec!["data"]], json!({"id": "1", "data": record["data"]})),
            (vec![vec!["status", "x"], vec!["nothing"]], json!({"id": "1"})),
            (vec![vec!["tags"]], json!({"id": "1", "tags": ["x"]})),
        ] {
            let select: Vec<FieldPath> = select.into_iter().map(FieldPath::new).collect();
            assert_eq!(project(&select, record.clone()), expected);
        }
    }

    #[test]
    fn reaches_into_the_objects_of_an_array() {
        let record = json!({"id": "1", "data": {"items": [{"sku": 1, "n": 2}, 7, {"n": 3}]}});
        assert_eq!(
            project(&[FieldPath::new(["data", "items", "sku"])], record),
            json!({"id": "1", "data": {"items": [{"sku": 1}, {}]}})
        );
    }
}
