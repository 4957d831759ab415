//! Examples of calls and responses, made from the document.

use serde_json::{Map, Value, json};

use super::{
    document::{Document, Operation, reference},
    json::{list, object, text},
};

/// How deep an example goes into records within records, references included.
const DEEPEST: u8 = 16;

/// An example of a value whose type says nothing about it, by the name of its field.
fn known(field: &str) -> Option<Value> {
    Some(match field {
        "id" | "userId" | "createdByUserId" => json!("ada"),
        "applicationId" | "createdByApplicationId" => json!("billing"),
        "email" => json!("ada@example.com"),
        "message" => json!("connect ECONNREFUSED 10.0.0.7:587"),
        "errorName" => json!("MailRefused"),
        "query" => json!(""),
        "token" => json!("9b2f61c07d3e4a58"),
        "tokenSecret" => json!("4d8e13fa90b7c265"),
        "consumerKey" => json!("b7c2650e4d8e13fa"),
        "consumerSecret" => json!("0e4d8e13fab7c265"),
        "accessToken" => json!("tl_Vb1Qm8s3"),
        "value" => json!("mail.internal"),
        "sha256" | "codeSha256" => json!("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        "first_name" => json!("Ada"),
        "last_name" => json!("Lovelace"),
        "phone_number" => json!("+44 20 7946 0018"),
        "language" => json!("EN"),
        "time_zone" => json!("Europe/London"),
        "path" => json!("orders/1041"),
        "version" => json!(env!("CARGO_PKG_VERSION")),
        "description" => json!("What it is for"),
        "status" => json!("up"),
        "tags" => json!(["import"]),
        "name" | "permissionsAdded" | "permissionsRemoved" => json!("VIEW_TASKS"),
        _ => return None,
    })
}

/// An example of a number, by the name of its field; otherwise it is the least one that the field can hold, or 1.
fn known_number(field: &str) -> Option<i64> {
    Some(match field {
        "offset" | "priority" | "defaultPriority" => 0,
        "limit" => 20,
        "statusCode" => 502,
        "memoryLimit" => 256,
        "timeLimit" => 60,
        "percent" => 10,
        _ => return None,
    })
}

/// The call of this operation with curl, after `. .tasklane/credentials`.
pub fn request(document: &Document<'_>, operation: Operation<'_>) -> String {
    let method = match operation.method {
        "get" => String::new(),
        method => format!("-X {} ", method.to_uppercase()),
    };
    let credential =
        (!operation.is_for_anybody()).then_some("-H \"Authorization: Bearer $API_ACCESS_TOKEN\"".to_owned());
    let body = match operation.body() {
        Some(("application/json", _)) => {
            body(document, operation).map(|body| format!("-d '{}'", body.to_string().replace('\'', "'\\''")))
        }
        Some(("application/octet-stream", _)) => Some("--data-binary @code.zip".to_owned()),
        _ => None,
    };
    let call = format!("curl {method}\"$API_HOST{}\"", url(document, operation));
    [call].into_iter().chain(credential).chain(body).collect::<Vec<_>>().join(" \\\n  ")
}

/// The example of the JSON body of this operation.
pub fn body(document: &Document<'_>, operation: Operation<'_>) -> Option<Value> {
    let (_, content) = operation.body().filter(|(kind, _)| *kind == "application/json")?;
    Some(content.get("example").cloned().unwrap_or_else(|| of_schema(document, "", &content["schema"], 0)))
}

/// An example of what this operation responds with, as text; `None` if it is not text, or the Function's own.
pub fn response(document: &Document<'_>, operation: Operation<'_>) -> Option<String> {
    let (_, response) = operation.success()?;
    let (kind, content) = object(&response["content"]).next()?;
    match kind {
        "application/json" => {
            let example = of_schema(document, "", &content["schema"], 0);
            (example != json!({})).then(|| format!("{example:#}"))
        }
        "text/event-stream" => {
            let task = of_schema(document, "", &json!({ "$ref": "#/components/schemas/Task" }), 0);
            Some(format!("event: task\ndata: {task}"))
        }
        _ => None,
    }
}

/// The path, with values for its `{…}`, and the query string of the parameters that have an example or are required.
fn url(document: &Document<'_>, operation: Operation<'_>) -> String {
    let mut path = operation.path.to_owned();
    let mut query = Vec::new();
    for parameter in list(&operation.json["parameters"]) {
        let name = text(&parameter["name"]);
        let example = parameter.get("example").cloned();
        let value = example.clone().unwrap_or_else(|| of_schema(document, name, &parameter["schema"], 0));
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match text(&parameter["in"]) {
            "path" => path = path.replace(&format!("{{{name}}}"), &value),
            // RQL is the query string itself.
            "query" if name == "rql" => query.push(value),
            "query" if example.is_some() || parameter["required"] == true => query.push(format!("{name}={value}")),
            _ => {}
        }
    }
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

/// A value of this schema: its own example, or the fields that a record always has.
fn of_schema(document: &Document<'_>, field: &str, schema: &Value, depth: u8) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(name) = reference(schema) {
        return of_schema(document, field, &document.json["components"]["schemas"][name], depth + 1);
    }
    let given = schema.get("example").or_else(|| schema["examples"].get(0)).or_else(|| schema["enum"].get(0));
    if let Some(given) = given {
        return given.clone();
    }
    for choices in ["oneOf", "anyOf"] {
        let mut real = list(&schema[choices]).iter().filter(|choice| choice["type"] != "null");
        if let Some(choice) = real.next() {
            return of_schema(document, field, choice, depth + 1);
        }
    }
    let mut fields = Map::new();
    for part in list(&schema["allOf"]) {
        if let Value::Object(more) = of_schema(document, field, part, depth + 1) {
            fields.extend(more);
        }
    }
    for name in list(&schema["required"]).iter().filter_map(Value::as_str) {
        fields.insert(name.to_owned(), of_schema(document, name, &schema["properties"][name], depth + 1));
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default();
    match kind {
        _ if !fields.is_empty() => Value::Object(fields),
        "string" => known(field).unwrap_or_else(|| json!(field)),
        "integer" | "number" => {
            json!(known_number(field).unwrap_or_else(|| schema["minimum"].as_i64().unwrap_or(1).max(1)))
        }
        "boolean" => json!(true),
        "array" => match known(field).filter(Value::is_array) {
            Some(entries) => entries,
            None => json!([of_schema(document, field, &schema["items"], depth + 1)]),
        },
        "object" if schema["additionalProperties"].is_object() => {
            json!({ "MAIL_HOST": of_schema(document, "value", &schema["additionalProperties"], depth + 1) })
        }
        // Any JSON.
        "" if schema.get("properties").is_none() && list(&schema["allOf"]).is_empty() => json!({ "orderId": 1041 }),
        // A record in which nothing is required: its first field.
        _ => {
            let shown = object(&schema["properties"]).take(1);
            Value::Object(
                shown.map(|(name, part)| (name.to_owned(), of_schema(document, name, part, depth + 1))).collect(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_its_path_its_credential_its_query_and_its_body() {
        let api = json!(crate::api_document());
        let document = Document::new(&api);
        let of = |id: &str| request(&document, document.operations().find(|operation| operation.id() == id).unwrap());
        assert_eq!(of("getHealth"), "curl \"$API_HOST/healthz\"");
        assert_eq!(
            of("createTask"),
            "curl -X POST \"$API_HOST/tasks/v1\" \\\n  -H \"Authorization: Bearer $API_ACCESS_TOKEN\" \\\n  \
             -d '{\"functionName\":\"invoices\",\"data\":{\"orderId\":1041},\"tags\":[\"import\"]}'"
        );
        assert!(
            of("listTasks").contains("/tasks/v1?eq(status,failed)&sort(-creationTimestamp)&limit(10)\""),
            "{}",
            of("listTasks")
        );
        assert!(of("getFunctionVersion").contains("/invoices/versions/1\""), "{}", of("getFunctionVersion"));
        assert!(of("sendUpload").ends_with("--data-binary @code.zip"));
    }

    #[test]
    fn no_example_has_a_hole() {
        let api = json!(crate::api_document());
        let document = Document::new(&api);
        for operation in document.operations() {
            let (call, answer) = (request(&document, operation), response(&document, operation).unwrap_or_default());
            let url = call.split("$API_HOST").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            assert!(!url.contains(['{', '}']), "{call}");
            for hole in ["…", ": null", "\"\": "] {
                assert!(
                    !call.contains(hole) && !answer.contains(hole),
                    "{} has {hole}:\n{call}\n{answer}",
                    operation.id()
                );
            }
        }
    }
}
