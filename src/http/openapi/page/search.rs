//! The words by which the search finds an operation.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    document::{Document, Operation, reference},
    json::{list, object, text},
};

/// The id, the permission, and the names of parameters and fields. The script adds what the fold's summary says.
pub fn words(document: &Document<'_>, group: &[Operation<'_>]) -> String {
    let mut words = BTreeSet::new();
    for operation in group {
        words.extend([operation.id(), text(&operation.json["x-access"]["permission"])]);
        words.extend(list(&operation.json["parameters"]).iter().map(|parameter| text(&parameter["name"])));
        let contents =
            [&operation.json["requestBody"]].into_iter().chain(operation.success().map(|(_, success)| success));
        for (_, content) in contents.flat_map(|described| object(&described["content"])) {
            fields(document, &content["schema"], &mut BTreeSet::new(), &mut words);
        }
    }
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn fields<'a>(document: &Document<'a>, schema: &'a Value, seen: &mut BTreeSet<&'a str>, words: &mut BTreeSet<&'a str>) {
    if let Some(name) = reference(schema) {
        if seen.insert(name) {
            fields(document, document.resolve(schema), seen, words);
        }
        return;
    }
    for (name, field) in object(&schema["properties"]) {
        words.insert(name);
        fields(document, field, seen, words);
    }
    for parts in ["oneOf", "anyOf", "allOf"] {
        list(&schema[parts]).iter().for_each(|part| fields(document, part, seen, words));
    }
    for part in ["items", "additionalProperties"].into_iter().filter_map(|part| schema.get(part)) {
        fields(document, part, seen, words);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_is_found_by_its_permission_and_the_fields_of_its_records() {
        let api = json!(crate::api_document());
        let document = Document::new(&api);
        let of = |id: &str| {
            let operation = document.operations().find(|operation| operation.id() == id).unwrap();
            words(&document, &[operation])
        };
        let create = of("createTask");
        for word in ["createTask", "CREATE_TASKS", "startTimestamp", "Idempotency-Key", "maxSeconds", "createdByUserId"]
        {
            assert!(create.split(' ').any(|found| found == word), "{word}: {create}");
        }
        assert!(!create.contains("memoryLimit"), "{create}");
    }
}
