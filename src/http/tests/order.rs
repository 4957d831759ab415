//! What is checked, and in which order: credential, permission, path, query, body.

use http::StatusCode;

use super::kit::Kit;
use crate::http::{BodyLimits, HttpConfig};

const ID: &str = "697db9a2c5f0a1b2c3d4e5f6";

fn may(permissions: &str) -> String {
    format!("may {permissions}")
}

#[tokio::test]
async fn a_bad_credential_is_an_error_on_every_endpoint_public_ones_too() {
    let kit = Kit::new().await;
    for target in ["GET /healthz", "GET /docs", "GET /tasks/v1/openapi.json", "GET /tasks/v1", "GET /tasks/v1/api/x/y"]
    {
        assert_eq!(kit.ask(target, "Bearer wrong", "").await.code(), 117, "{target}");
    }
}

#[tokio::test]
async fn the_credential_comes_before_the_permission_and_that_before_the_path() {
    let kit = Kit::new().await;
    assert_eq!(kit.ask("POST /tasks/v1/nonsense/cancel", "Bearer wrong", "").await.code(), 117);
    assert_eq!(kit.ask("POST /tasks/v1/nonsense/cancel", "", "").await.code(), 104);
    assert_eq!(kit.ask("POST /tasks/v1/nonsense/cancel", &may(""), "").await.code(), 10);
    assert_eq!(kit.ask("POST /tasks/v1/nonsense/cancel", &may("CANCEL_TASKS"), "").await.code(), 12);
}

#[tokio::test]
async fn the_path_comes_before_the_query() {
    let kit = Kit::new().await;
    let may = may("VIEW_TASK_LOGS");
    assert_eq!(kit.ask("GET /tasks/v1/nonsense/logs?eq((", &may, "").await.code(), 12);
    assert_eq!(kit.ask(&format!("GET /tasks/v1/{ID}/logs?eq(("), &may, "").await.code(), 19);
}

#[tokio::test]
async fn the_permission_comes_before_the_body_and_its_size() {
    let kit = Kit::new().await;
    let huge = "x".repeat(2 << 20);
    assert_eq!(kit.ask("POST /tasks/v1", &may(""), huge.clone()).await.code(), 10);
    let answered = kit.ask("POST /tasks/v1", &may("CREATE_TASKS"), huge).await;
    assert_eq!(
        (answered.status, answered.name()),
        (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE_EXCEPTION".into())
    );
}

#[tokio::test]
async fn bodies_are_checked_from_the_outside_in() {
    let kit = Kit::new().await;
    let may = may("CREATE_TASKS");
    for (body, code) in [
        ("", 13),
        ("[]", 22),
        ("{\"functionName\":", 22),
        ("{}", 14),
        ("{\"functionName\":null}", 14),
        ("{\"functionName\":\"a b\"}", 15),
        ("{\"functionName\":\"a\",\"priority\":\"1\"}", 15),
        ("{\"functionName\":\"a\",\"tags\":[1]}", 15),
        ("{\"functionName\":\"a\",\"startTimestamp\":\"soon\"}", 15),
    ] {
        assert_eq!(kit.ask("POST /tasks/v1", &may, body).await.code(), code, "{body}");
    }
}

#[tokio::test]
async fn a_function_is_created_from_all_that_it_needs() {
    let kit = Kit::new().await;
    let may = may("CREATE_TASK_FUNCTION");
    let answered = kit.ask("POST /tasks/v1/functions", &may, "{\"name\":\"a\"}").await;
    assert_eq!(answered.code(), 14);
    assert_eq!(answered.json()["message"], "Required fields are missing: 'code', 'entryPoint', 'runtime'.");
    for (field, value, code, says) in [
        ("name", "\"a b\"", 15, "'name'"),
        ("code", "\"?\"", 1401, "'code'"),
        ("code", "{}", 15, "'code'"),
        ("entryPoint", "\"\"", 15, "'entryPoint'"),
        ("timeLimit", "3.5", 15, "'timeLimit'"),
        ("timeLimit", "\"30\"", 15, "'timeLimit'"),
        ("memoryLimit", "127", 15, "'memoryLimit'"),
        ("description", "7", 15, "'description'"),
        ("environmentVariables", "{\"A_B\":\"x\"}", 15, "'environmentVariables.A_B'"),
        ("environmentVariables", "{\"A_B\":{\"value\":1}}", 15, "'environmentVariables.A_B.value'"),
        ("environmentVariables", "{\"A_B\":{}}", 14, "'environmentVariables.A_B.value'"),
        ("environmentVariables", "{\"AWS_REGION\":{\"value\":\"\"}}", 1402, "AWS_REGION"),
        ("retryPolicy", "true", 15, "'retryPolicy'"),
        ("retryPolicy", "{\"enabled\":1}", 15, "'retryPolicy.enabled'"),
        ("retryPolicy", "{\"errorsToRetry\":\"X\"}", 15, "'retryPolicy.errorsToRetry'"),
        ("executionOptions", "{\"permissionMode\":\"all\"}", 15, "'executionOptions.permissionMode'"),
        ("executionOptions", "{\"defaultPriority\":0.5}", 15, "'executionOptions.defaultPriority'"),
    ] {
        let mut body = serde_json::json!({
            "name": "a", "code": "UEsFBg==", "entryPoint": "index.handler", "runtime": "nodejs22.x", "unknown": [{}],
        });
        body[field] = serde_json::from_str(value).unwrap();
        let answered = kit.ask("POST /tasks/v1/functions", &may, body.to_string()).await;
        assert_eq!(answered.code(), code, "{field}: {value}: {}", answered.text);
        assert!(answered.text.contains(says), "{field}: {value}: {}", answered.text);
    }
}

#[tokio::test]
async fn a_function_is_not_renamed() {
    let kit = Kit::new().await;
    let may = may("UPDATE_TASK_FUNCTION");
    assert_eq!(kit.ask("PUT /tasks/v1/functions/a", &may, "{\"name\":\"b\"}").await.code(), 26);
    assert_ne!(kit.ask("PUT /tasks/v1/functions/a", &may, "{\"name\":\"a\"}").await.code(), 26);
    assert_eq!(kit.ask("PUT /tasks/v1/functions/a", &may, "").await.code(), 13);
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let kit = Kit::new().await;
    for kind in ["", "application/json", "application/json; charset=utf-8", "text/plain"] {
        let headers = [("authorization", "may CREATE_TASKS"), ("content-type", kind)];
        assert_eq!(kit.ask_with("POST /tasks/v1", &headers, "{}").await.code(), 14, "{kind}");
    }
}

#[tokio::test]
async fn each_endpoint_has_its_own_limit() {
    let limits = BodyLimits { default: 10, task: 20, function: 30, api_call: 40 };
    let kit = Kit::with(HttpConfig { limits, ..HttpConfig::default() }).await;
    let may = may("CREATE_TASKS,CREATE_TASK_FUNCTION,CREATE_CREDENTIALS,CREATE_TASK_SCHEDULE");
    for (target, limit) in [
        ("POST /tasklane/v1/credentials", 10),
        ("POST /tasks/v1", 20),
        ("POST /tasks/v1/schedules", 20),
        ("POST /tasks/v1/functions/a/execute", 20),
        ("POST /tasks/v1/functions", 30),
        ("PUT /tasks/v1/api/a", 40),
    ] {
        let headers = [("authorization", may.as_str())];
        let at_limit = kit.ask_with(target, &headers, " ".repeat(limit)).await;
        let past_it = kit.ask_with(target, &headers, " ".repeat(limit + 1)).await;
        assert_ne!(at_limit.status, StatusCode::PAYLOAD_TOO_LARGE, "{target}");
        assert_eq!(past_it.status, StatusCode::PAYLOAD_TOO_LARGE, "{target}");
    }
}

#[tokio::test]
async fn whoever_is_logged_in_learns_who_they_are() {
    let kit = Kit::new().await;
    assert_eq!(kit.ask("GET /users/v1/me", "", "").await.code(), 104);
    let me = kit.ask("GET /users/v1/me", &may("VIEW_TASKS"), "").await.json();
    assert_eq!((me["id"].as_str(), &me["permissions"]), (Some("ada"), &serde_json::json!(["VIEW_TASKS"])));
}
