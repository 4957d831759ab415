//! Compares the API document with the contract, and with what the service reads.

use serde_json::{Map, Value, json};
use tasklane_http::api_document;
use tasklane_service::FunctionOptions;

use super::kit::Kit;

/// The permission for each call (contract §3, §7 for credentials, and part II). `*` marks those that depend on the permission
/// mode.
const PERMISSIONS: &[(&str, &str, &str)] = &[
    ("get", "/tasks/v1", "VIEW_TASKS"),
    ("post", "/tasks/v1", "CREATE_TASKS"),
    ("post", "/tasks/v1/{taskId}/cancel", "CANCEL_TASKS"),
    ("get", "/tasks/v1/{taskId}/logs", "VIEW_TASK_LOGS"),
    ("get", "/tasks/v1/functions", "VIEW_TASK_FUNCTIONS"),
    ("post", "/tasks/v1/functions", "CREATE_TASK_FUNCTION"),
    ("get", "/tasks/v1/functions/{functionName}", "VIEW_TASK_FUNCTION_DETAILS"),
    ("put", "/tasks/v1/functions/{functionName}", "UPDATE_TASK_FUNCTION"),
    ("delete", "/tasks/v1/functions/{functionName}", "DELETE_TASK_FUNCTION"),
    ("post", "/tasks/v1/functions/{functionName}/enable", "UPDATE_TASK_FUNCTION"),
    ("post", "/tasks/v1/functions/{functionName}/disable", "UPDATE_TASK_FUNCTION"),
    ("post", "/tasks/v1/functions/{functionName}/execute", "*EXECUTE_TASK_FUNCTION"),
    ("get", "/tasks/v1/functions/{functionName}/logs", "VIEW_TASK_FUNCTION_LOGS"),
    ("get", "/tasks/v1/api/{functionName}/{path}", "*EXECUTE_API_FUNCTION"),
    ("post", "/tasks/v1/api/{functionName}/{path}", "*EXECUTE_API_FUNCTION"),
    ("put", "/tasks/v1/api/{functionName}/{path}", "*EXECUTE_API_FUNCTION"),
    ("delete", "/tasks/v1/api/{functionName}/{path}", "*EXECUTE_API_FUNCTION"),
    ("patch", "/tasks/v1/api/{functionName}/{path}", "*EXECUTE_API_FUNCTION"),
    ("options", "/tasks/v1/api/{functionName}/{path}", "*EXECUTE_API_FUNCTION"),
    ("head", "/tasks/v1/api/{functionName}/{path}", "*EXECUTE_API_FUNCTION"),
    ("get", "/tasks/v1/apiRequests", "VIEW_API_FUNCTION_REQUESTS"),
    ("get", "/tasks/v1/apiRequests/{apiRequestId}/logs", "VIEW_API_FUNCTION_REQUEST_LOGS"),
    ("get", "/tasks/v1/schedules", "VIEW_TASK_SCHEDULES"),
    ("post", "/tasks/v1/schedules", "CREATE_TASK_SCHEDULE"),
    ("delete", "/tasks/v1/schedules/{scheduleId}", "DELETE_TASK_SCHEDULE"),
    ("get", "/tasklane/v1/tasks/{taskId}/attempts", "VIEW_TASKS"),
    ("get", "/tasklane/v1/tasks/{taskId}/why", "VIEW_TASKS"),
    ("post", "/tasklane/v1/tasks/batch", "CREATE_TASKS"),
    ("get", "/tasklane/v1/tasks/{taskId}", "VIEW_TASKS"),
    ("get", "/tasklane/v1/tasks/{taskId}/result", "VIEW_TASKS"),
    ("get", "/tasklane/v1/tasks/{taskId}/events", "VIEW_TASKS"),
    ("get", "/tasklane/v1/events", "VIEW_TASKS"),
    ("get", "/tasklane/v1/bulk", "VIEW_TASKS"),
    ("post", "/tasklane/v1/bulk", "VIEW_TASKS"),
    ("get", "/tasklane/v1/bulk/{bulkId}", "VIEW_TASKS"),
    ("delete", "/tasklane/v1/bulk/{bulkId}", "VIEW_TASKS"),
    ("get", "/tasklane/v1/failures", "VIEW_TASKS"),
    ("get", "/users/v1/roles", "VIEW_ROLE"),
    ("post", "/users/v1/roles", "CREATE_ROLE"),
    ("post", "/users/v1/roles/add_permissions", "ADD_ROLE_PERMISSION"),
    ("post", "/users/v1/roles/remove_permissions", "REMOVE_ROLE_PERMISSION"),
    ("get", "/users/v1", "VIEW_USER"),
    ("post", "/users/v1/add_roles", "ADD_ROLE_TO_USER"),
    ("post", "/users/v1/remove_roles", "REMOVE_ROLE_FROM_USER"),
    ("put", "/tasklane/v1/functions/{functionName}/executionCredentials", "UPDATE_TASK_FUNCTION"),
    ("get", "/tasklane/v1/functions/{functionName}/flow", "VIEW_TASK_FUNCTION_DETAILS"),
    ("put", "/tasklane/v1/functions/{functionName}/flow", "UPDATE_TASK_FUNCTION"),
    ("delete", "/tasklane/v1/functions/{functionName}/flow", "UPDATE_TASK_FUNCTION"),
    ("get", "/tasklane/v1/functions/{functionName}/versions", "VIEW_TASK_FUNCTION_DETAILS"),
    ("get", "/tasklane/v1/functions/{functionName}/versions/{version}", "VIEW_TASK_FUNCTION_DETAILS"),
    ("get", "/tasklane/v1/functions/{functionName}/versions/{version}/code", "VIEW_TASK_FUNCTION_DETAILS"),
    ("post", "/tasklane/v1/functions/{functionName}/rollback", "UPDATE_TASK_FUNCTION"),
    ("post", "/tasklane/v1/functions/{functionName}/canary", "UPDATE_TASK_FUNCTION"),
    ("delete", "/tasklane/v1/functions/{functionName}/canary", "UPDATE_TASK_FUNCTION"),
    ("get", "/tasklane/v1/overview", "VIEW_TASKS"),
    ("get", "/tasklane/v1/stats", "VIEW_TASKS"),
    ("post", "/tasklane/v1/test/clock", "UPDATE_TASK_FUNCTION"),
    ("post", "/tasklane/v1/test/fail", "UPDATE_TASK_FUNCTION"),
    ("get", "/tasklane/v1/schedules", "VIEW_TASK_SCHEDULES"),
    ("post", "/tasklane/v1/schedules", "CREATE_TASK_SCHEDULE"),
    ("get", "/tasklane/v1/schedules/{scheduleId}", "VIEW_TASK_SCHEDULES"),
    ("put", "/tasklane/v1/schedules/{scheduleId}", "CREATE_TASK_SCHEDULE"),
    ("delete", "/tasklane/v1/schedules/{scheduleId}", "DELETE_TASK_SCHEDULE"),
    ("post", "/tasklane/v1/schedules/{scheduleId}/pause", "CREATE_TASK_SCHEDULE"),
    ("post", "/tasklane/v1/schedules/{scheduleId}/resume", "CREATE_TASK_SCHEDULE"),
    ("post", "/tasklane/v1/schedules/{scheduleId}/run", "CREATE_TASK_SCHEDULE"),
    ("post", "/tasklane/v1/schedules/{scheduleId}/backfill", "CREATE_TASK_SCHEDULE"),
    ("get", "/tasklane/v1/schedules/{scheduleId}/next", "VIEW_TASK_SCHEDULES"),
    ("get", "/tasklane/v1/credentials", "VIEW_CREDENTIALS"),
    ("post", "/tasklane/v1/credentials", "CREATE_CREDENTIALS"),
    ("delete", "/tasklane/v1/credentials/{credentialId}", "DELETE_CREDENTIALS"),
    ("post", "/tasklane/v1/uploads", "UPDATE_TASK_FUNCTION"),
    ("put", "/tasklane/v1/uploads/{uploadId}", "anybody"),
    ("get", "/users/v1/me", "loggedIn"),
    ("post", "/users/v1/register", "anybody"),
    ("post", "/auth/v2/oauth1/tokens", "application"),
    ("get", "/tasks/v1/openapi.json", "anybody"),
    ("get", "/docs", "anybody"),
    ("get", "/healthz", "anybody"),
];

#[test]
fn each_endpoint_has_the_access_rule_of_the_contract() {
    let document = json!(api_document());
    let mut count = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let access = &operation["x-access"];
            let found = match (access["rule"].as_str().unwrap(), access["permission"].as_str()) {
                ("permission", Some(permission)) => permission.to_owned(),
                ("permissionMode", Some(permission)) => format!("*{permission}"),
                (rule, _) => rule.to_owned(),
            };
            let row = PERMISSIONS.iter().find(|(row_method, row_path, _)| row_method == method && row_path == path);
            let (.., expected) = row.unwrap_or_else(|| panic!("add {method} {path} to PERMISSIONS"));
            assert_eq!(found, *expected, "{method} {path}");
            count += 1;
        }
    }
    assert_eq!(count, PERMISSIONS.len(), "PERMISSIONS has an endpoint that does not exist");
}

#[test]
fn descriptions_contain_nothing_internal() {
    let document = json!(api_document()).to_string();
    for leftover in ["§", "[`", "crate::", "contract"] {
        assert!(!document.contains(leftover), "'{leftover}' means nothing to readers of the document");
    }
}

/// A valid value for a field with this name.
fn good(field: &str) -> Value {
    match field {
        "name" => json!("fresh"),
        "code" => json!("emlw"),
        "entryPoint" => json!("index.handler"),
        "runtime" => json!("nodejs22.x"),
        "image" => json!("registry/hello:1"),
        "functionName" => json!("required"),
        "key" => json!("data.tenantId"),
        "interval" | "advance" => json!(60),
        "times" => json!(1),
        "sha256" => json!("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        "size" => json!(1),
        "userId" => json!("bob"),
        "permissions" => json!(["VIEW_TASKS"]),
        "email" => json!("fresh@example.com"),
        "password" => json!("Secret-word-1"),
        "first_name" | "last_name" | "phone_number" | "language" => json!("x"),
        "roles" => json!(["697db9a2c5f0a1b2c3d4e5f6"]),
        "action" => json!("cancel"),
        "version" => json!(2),
        "percent" => json!(10),
        "from" | "to" => json!("2020-01-01T00:00:00Z"),
        "tasks" => json!([{ "functionName": "fresh" }]),
        other => panic!("add a valid value for the required field '{other}' here"),
    }
}

#[tokio::test]
async fn every_documented_field_of_a_body_is_read_and_every_required_field_is_required() {
    let kit = Kit::new().await;
    kit.world.function("fresh", FunctionOptions::default()).await;
    let schedule = kit.world.schedule("fresh", 3600, None).await.id.to_string();
    let document = json!(api_document());
    let mut read = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) else { continue };
            let body = Body::of(&document["components"]["schemas"][name]);
            let access = &operation["x-access"];
            let who = match access["permission"].as_str() {
                Some(permission) => format!("may {permission}"),
                None if access["rule"] == "anybody" => String::new(),
                // Only signed requests get as far as the body: `users` has a test.
                None => continue,
            };
            let request = format!("{} {}", method.to_uppercase(), path.replace("{functionName}", "fresh"));
            let request = request.replace("{scheduleId}", &schedule);
            for field in &body.required {
                let mut without = body.good();
                without.remove(field);
                let answered = kit.ask(&request, &who, json!(without).to_string()).await;
                assert_eq!(answered.code(), 14, "{request} without {field}: {}", answered.text);
                assert!(answered.text.contains(&format!("'{field}'")), "{}", answered.text);
            }
            // Any JSON is valid `data`.
            for field in body.fields.iter().filter(|field| *field != "data") {
                let mut wrong = body.good();
                wrong.insert(field.clone(), json!([[1]]));
                let answered = kit.ask(&request, &who, json!(wrong).to_string()).await;
                assert_eq!(answered.code(), 15, "{request} with a wrong {field}: {}", answered.text);
                assert!(answered.text.contains(&format!("'{field}'")), "{}", answered.text);
                read += 1;
            }
        }
    }
    assert!(read > 20, "{read}");
}

/// The description of a body in the document.
#[derive(Default)]
struct Body {
    fields: Vec<String>,
    required: Vec<String>,
}

impl Body {
    fn of(schema: &Value) -> Self {
        let mut body = Self::default();
        for part in schema["allOf"].as_array().map_or(std::slice::from_ref(schema), Vec::as_slice) {
            body.fields.extend(part["properties"].as_object().unwrap().keys().cloned());
            let required = part["required"].as_array().into_iter().flatten();
            body.required.extend(required.map(|field| field.as_str().unwrap().to_owned()));
        }
        body
    }

    fn good(&self) -> Map<String, Value> {
        let mut fields: Map<_, _> = self.required.iter().map(|field| (field.clone(), good(field))).collect();
        // A new Function needs a zip or an image, which the document only says in words.
        if fields.contains_key("name") && self.fields.iter().any(|field| field == "runtime") {
            for field in ["code", "entryPoint", "runtime"] {
                fields.insert(field.to_owned(), good(field));
            }
        }
        fields
    }
}
