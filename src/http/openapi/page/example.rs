//! An example of each call, made from its description.

use serde_json::{Map, Value, json};

use super::json::{list, object, text};

/// How deep an example goes into records within records.
const DEEPEST: u8 = 4;

/// The call of this operation with curl, after `. .tasklane/credentials`.
pub fn request(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let mut url = path.to_owned();
    for parameter in list(&operation["parameters"]).iter().filter(|parameter| parameter["in"] == "path") {
        let name = text(&parameter["name"]);
        let value = match parameter.get("example").and_then(Value::as_str) {
            Some(example) => example.to_owned(),
            None => {
                of_schema(document, &parameter["schema"], 0).as_str().map_or_else(|| name.to_owned(), str::to_owned)
            }
        };
        url = url.replace(&format!("{{{name}}}"), &value);
    }
    let method = match method {
        "get" => String::new(),
        method => format!("-X {} ", method.to_uppercase()),
    };
    let body = operation["requestBody"]["content"]["application/json"].get("schema");
    let body = body.map(|schema| format!(" \\\n  -d '{}'", of_schema(document, schema, 0))).unwrap_or_default();
    // An empty entry means that a call without a credential is answered, too.
    let is_for_anybody = list(&operation["security"]).iter().any(|scheme| object(scheme).next().is_none());
    let credential = match is_for_anybody {
        true => "",
        false => "-H \"Authorization: Bearer $API_ACCESS_TOKEN\" ",
    };
    format!("curl {method}{credential}\"$API_HOST{url}\"{body}")
}

/// A value of this schema: its own example, or the fields that a record must have.
fn of_schema(document: &Value, schema: &Value, depth: u8) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
        return of_schema(document, &document["components"]["schemas"][name], depth + 1);
    }
    let given = schema.get("example").or_else(|| schema["examples"].get(0)).or_else(|| schema["enum"].get(0));
    if let Some(given) = given {
        return given.clone();
    }
    for choices in ["oneOf", "anyOf"] {
        let mut real = list(&schema[choices]).iter().filter(|choice| choice["type"] != "null");
        if let Some(choice) = real.next() {
            return of_schema(document, choice, depth + 1);
        }
    }
    let mut fields = Map::new();
    for part in list(&schema["allOf"]) {
        if let Value::Object(more) = of_schema(document, part, depth + 1) {
            fields.extend(more);
        }
    }
    for name in list(&schema["required"]).iter().filter_map(Value::as_str) {
        fields.insert(name.to_owned(), of_schema(document, &schema["properties"][name], depth + 1));
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default();
    match kind {
        _ if !fields.is_empty() => Value::Object(fields),
        "string" => json!("…"),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        "boolean" => json!(true),
        "array" => json!([of_schema(document, &schema["items"], depth + 1)]),
        _ => {
            // What has no required field is shown with those that have an example.
            let shown = object(&schema["properties"]).filter(|(_, field)| field.get("example").is_some());
            Value::Object(shown.map(|(name, field)| (name.to_owned(), field["example"].clone())).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_its_path_its_credential_and_its_body() {
        let document = json!(crate::api_document());
        let of = |path: &str, method: &str| request(&document, path, method, &document["paths"][path][method]);
        assert_eq!(of("/healthz", "get"), "curl \"$API_HOST/healthz\"");
        let create = of("/tasks/v1", "post");
        assert!(
            create.starts_with("curl -X POST -H \"Authorization: Bearer $API_ACCESS_TOKEN\" \"$API_HOST/tasks/v1\""),
            "{create}"
        );
        assert!(create.contains("\"functionName\":\"invoices\""), "{create}");
        for (path, item) in object(&document["paths"]) {
            for (method, operation) in object(item).filter(|(_, operation)| operation.get("operationId").is_some()) {
                let example = request(&document, path, method, operation);
                assert!(!example.contains(['{', '}']) || example.contains("-d '"), "{example}");
            }
        }
    }
}
