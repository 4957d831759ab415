//! The checks of a request, and their order: credential, permission, path, query, body.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use tasklane_http::{BodyLimits, HttpConfig, body::BodyBudget};
use tasklane_model::PermissionMode;
use tasklane_service::FunctionOptions;

use super::kit::Kit;

const ID: &str = "697db9a2c5f0a1b2c3d4e5f6";

fn may(permissions: &str) -> String {
    format!("may {permissions}")
}

#[tokio::test]
async fn an_invalid_credential_is_an_error_on_every_endpoint_even_public_ones() {
    let kit = Kit::new().await;
    for target in ["GET /healthz", "GET /docs", "GET /tasks/v1/openapi.json", "GET /tasks/v1", "GET /tasks/v1/api/x/y"]
    {
        assert_eq!(kit.ask(target, "Bearer wrong", "").await.code(), 117, "{target}");
    }
}

#[tokio::test]
async fn the_credential_is_checked_before_the_permission_and_that_before_the_path() {
    let kit = Kit::new().await;
    assert_eq!(kit.ask("POST /tasks/v1/nonsense/cancel", "Bearer wrong", "").await.code(), 117);
    assert_eq!(kit.ask("POST /tasks/v1/nonsense/cancel", "", "").await.code(), 104);
    assert_eq!(kit.ask("POST /tasks/v1/nonsense/cancel", &may(""), "").await.code(), 10);
    assert_eq!(kit.ask("POST /tasks/v1/nonsense/cancel", &may("CANCEL_TASKS"), "").await.code(), 12);
}

#[tokio::test]
async fn the_path_is_checked_before_the_query() {
    let kit = Kit::new().await;
    let may = may("VIEW_TASK_LOGS");
    assert_eq!(kit.ask("GET /tasks/v1/nonsense/logs?eq((", &may, "").await.code(), 12);
    assert_eq!(kit.ask(&format!("GET /tasks/v1/{ID}/logs?eq(("), &may, "").await.code(), 19);
}

#[tokio::test]
async fn the_permission_is_checked_before_the_body_and_its_size() {
    let kit = Kit::new().await;
    let huge = "x".repeat(2 << 20);
    assert_eq!(kit.ask("POST /tasks/v1", &may(""), huge.clone()).await.code(), 10);
    let answered = kit.ask("POST /tasks/v1", &may("CREATE_TASKS"), huge).await;
    assert_eq!(
        (answered.status, answered.name()),
        (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE_EXCEPTION".into())
    );
}

/// A body that never arrives: a reader waits for its first byte forever.
fn never() -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())
}

#[tokio::test]
async fn a_caller_who_may_not_run_a_function_is_refused_before_the_body_arrives() {
    let kit = Kit::new().await;
    kit.world.function("closed", FunctionOptions::default()).await;
    for path in ["/tasks/v1/api/NAME/x", "/tasks/v1/functions/NAME/execute"] {
        let permission = if path.contains("/api/") { "EXECUTE_API_FUNCTION" } else { "EXECUTE_TASK_FUNCTION" };
        for (name, who, code) in [
            ("closed", "", 104),
            ("missing", "", 104),
            ("closed", "may ", 10),
            ("missing", "may ", 10),
            ("missing", permission, 16),
            ("no%20name", permission, 16),
        ] {
            let who = if who == permission { may(permission) } else { who.to_owned() };
            let answered = kit.ask(&format!("POST {}", path.replace("NAME", name)), &who, never()).await;
            assert_eq!(answered.code(), code, "{path} {name} {who}");
        }
    }
    assert_eq!(kit.world.lambda.calls().len(), 0);
}

#[tokio::test]
async fn bodies_share_a_budget() {
    let kit = Kit::with(HttpConfig { bodies: BodyBudget::new(100, 10), ..HttpConfig::default() }).await;
    let options = FunctionOptions { permission_mode: Some(PermissionMode::Public), ..FunctionOptions::default() };
    kit.world.function("open", options).await;
    let target = "POST /tasks/v1/api/open/x";
    let answered = kit.ask(target, "", "x".repeat(11)).await;
    assert_eq!((answered.status.as_u16(), answered.code()), (429, 1505));
    assert_eq!(answered.headers["retry-after"], "1");
    assert_ne!(kit.ask(target, "", "x".repeat(10)).await.code(), 1505);
    assert_ne!(kit.ask(target, &may(""), "x".repeat(11)).await.code(), 1505);
    assert_eq!(kit.ask(target, &may(""), "x".repeat(101)).await.code(), 1505);
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped_and_a_coding_is_refused_before_the_body_arrives() {
    let kit = Kit::new().await;
    kit.world.function("hello", FunctionOptions::default()).await;
    let may = may("CREATE_TASKS");
    let answered = kit.ask("POST /tasks/v1", &may, "\u{feff}{\"functionName\":\"hello\"}").await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    let gzip = [("authorization", may.as_str()), ("content-encoding", "gzip")];
    let answered = kit.ask_with("POST /tasks/v1", &gzip, never()).await;
    assert_eq!((answered.status.as_u16(), answered.name().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE_EXCEPTION"));
}

#[tokio::test]
async fn responses_are_marked_as_json_and_secrets_are_not_stored() {
    let kit = Kit::new().await;
    let answered = kit.ask("GET /tasks/v1", "", "").await;
    assert_eq!(answered.headers["x-content-type-options"], "nosniff");
    let body = "{\"userId\":\"ada\",\"permissions\":[]}";
    let answered = kit.ask("POST /tasklane/v1/credentials", &may("CREATE_CREDENTIALS"), body).await;
    assert_eq!((answered.status, answered.headers["cache-control"].to_str().unwrap()), (StatusCode::OK, "no-store"));
    assert_eq!(answered.headers["x-content-type-options"], "nosniff");
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
async fn a_function_is_created_from_its_fields() {
    let kit = Kit::new().await;
    let may = may("CREATE_TASK_FUNCTION");
    let answered = kit.ask("POST /tasks/v1/functions", &may, "{\"name\":\"a\"}").await;
    assert_eq!(answered.code(), 14);
    assert_eq!(answered.json()["message"], "Required fields are missing: 'code', 'entryPoint', 'runtime'.");
    for (field, value, code, says) in [
        ("name", "\"a b\"", 1407, "'name'"),
        ("name", "\"\"", 1407, "'name'"),
        ("name", "7", 15, "'name'"),
        ("code", "\"?\"", 1401, "'code'"),
        ("code", "{}", 15, "'code'"),
        ("entryPoint", "\"\"", 15, "'entryPoint'"),
        ("image", "\"a b\"", 15, "'image'"),
        ("image", "\"registry/a:1\"", 26, "either an 'image', or code"),
        ("timeLimit", "3.5", 15, "'timeLimit'"),
        ("timeLimit", "\"30\"", 15, "'timeLimit'"),
        ("memoryLimit", "127", 15, "'memoryLimit'"),
        ("description", "7", 15, "'description'"),
        ("environmentVariables", "{\"A_B\":\"x\"}", 15, "'environmentVariables.A_B'"),
        ("environmentVariables", "{\"A_B\":{\"value\":1}}", 15, "'environmentVariables.A_B.value'"),
        ("environmentVariables", "{\"A_B\":{}}", 14, "'environmentVariables.A_B.value'"),
        ("environmentVariables", "{\"AWS_REGION\":{\"value\":\"\"}}", 1402, "AWS_REGION"),
        ("secrets", "[]", 15, "'secrets'"),
        ("secrets", "{\"A_B\":\"s3cret\"}", 15, "'secrets.A_B' must be ssm:/tasklane/"),
        ("secrets", "{\"AWS_REGION\":\"ssm:/tasklane/dev/a\"}", 1402, "AWS_REGION"),
        ("secrets", "{\"A_B\":null}", 14, "'secrets.A_B'"),
        ("aws", "true", 15, "'aws'"),
        ("aws", "{\"role\":\"admin\"}", 15, "'aws.role'"),
        ("aws", "{\"architecture\":\"x86\"}", 15, "'aws.architecture' must be one of x86_64, arm64"),
        ("aws", "{\"ephemeralStorage\":511}", 15, "'aws.ephemeralStorage'"),
        ("aws", "{\"layers\":[\"fonts\"]}", 15, "'aws.layers'"),
        ("aws", "{\"vpc\":{\"subnetIds\":[\"subnet-1\"]}}", 14, "'aws.vpc.securityGroupIds'"),
        ("aws", "{\"vpc\":{\"subnetIds\":[],\"securityGroupIds\":[\"sg-1\"]}}", 15, "'aws.vpc.subnetIds'"),
        ("aws", "{\"tracing\":true}", 15, "'aws.tracing' must be one of Active, PassThrough"),
        ("aws", "{\"logRetentionDays\":2}", 15, "'aws.logRetentionDays'"),
        ("aws", "{\"snapStart\":\"On\"}", 15, "'aws.snapStart'"),
        ("retryPolicy", "true", 15, "'retryPolicy'"),
        ("retryPolicy", "{\"enabled\":1}", 15, "'retryPolicy.enabled'"),
        ("retryPolicy", "{\"errorsToRetry\":\"X\"}", 15, "'retryPolicy.errorsToRetry'"),
        ("retryPolicy", "{\"errorsNotToRetry\":\"X\"}", 15, "'retryPolicy.errorsNotToRetry'"),
        ("retryPolicy", "{\"errorsNotToRetry\":[\"\"]}", 15, "'retryPolicy.errorsNotToRetry'"),
        ("retryPolicy", "{\"strategy\":[]}", 15, "'retryPolicy.strategy'"),
        ("retryPolicy", "{\"strategy\":{\"maxRetries\":51}}", 15, "'retryPolicy.strategy.maxRetries'"),
        ("retryPolicy", "{\"strategy\":{\"maxRetries\":-1}}", 15, "'retryPolicy.strategy.maxRetries'"),
        ("retryPolicy", "{\"strategy\":{\"maxRetries\":1.5}}", 15, "'retryPolicy.strategy.maxRetries'"),
        ("retryPolicy", "{\"strategy\":{\"backoff\":\"linear\"}}", 15, "'retryPolicy.strategy.backoff'"),
        ("retryPolicy", "{\"strategy\":{\"baseSeconds\":0}}", 15, "'retryPolicy.strategy.baseSeconds'"),
        ("retryPolicy", "{\"strategy\":{\"baseSeconds\":86401}}", 15, "'retryPolicy.strategy.baseSeconds'"),
        ("retryPolicy", "{\"strategy\":{\"maxSeconds\":\"9\"}}", 15, "'retryPolicy.strategy.maxSeconds'"),
        ("retryPolicy", "{\"strategy\":{\"jitter\":1}}", 15, "'retryPolicy.strategy.jitter'"),
        ("retryPolicy", "{\"strategy\":{\"baseSeconds\":9,\"maxSeconds\":8}}", 26, "'maxSeconds'"),
        ("timeouts", "60", 15, "'timeouts'"),
        ("timeouts", "{\"queued\":0}", 15, "'timeouts.queued'"),
        ("timeouts", "{\"queued\":31536001}", 15, "'timeouts.queued'"),
        ("timeouts", "{\"queued\":\"60\"}", 15, "'timeouts.queued'"),
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
async fn the_time_that_tasks_may_wait_is_kept_until_null_removes_it() {
    let kit = Kit::new().await;
    kit.world.function("a", FunctionOptions::default()).await;
    let may = may("UPDATE_TASK_FUNCTION,VIEW_TASK_FUNCTION_DETAILS,CREATE_TASKS");
    for (body, expected) in [
        ("{\"timeouts\":{\"queued\":60}}", serde_json::json!({ "queued": 60 })),
        ("{\"timeLimit\":20,\"timeouts\":{}}", serde_json::json!({ "queued": 60 })),
        ("{\"timeouts\":{\"queued\":null}}", serde_json::Value::Null),
        ("{\"timeouts\":{\"queued\":30}}", serde_json::json!({ "queued": 30 })),
        ("{\"timeouts\":null}", serde_json::Value::Null),
    ] {
        assert_eq!(kit.ask("PUT /tasks/v1/functions/a", &may, body).await.status, StatusCode::OK);
        assert_eq!(kit.ask("GET /tasks/v1/functions/a", &may, "").await.json()["timeouts"], expected, "{body}");
    }
    for (timeouts, code) in [("{\"queued\":5}", 0), ("{\"queued\":0}", 15), ("[]", 15), ("{\"queued\":\"5\"}", 15)] {
        let body = format!("{{\"functionName\":\"a\",\"timeouts\":{timeouts}}}");
        let created = kit.ask("POST /tasks/v1", &may, body).await;
        match code {
            0 => assert_eq!(created.json()["timeouts"], serde_json::json!({ "queued": 5 }), "{}", created.text),
            _ => assert_eq!(created.code(), code, "{timeouts}: {}", created.text),
        }
    }
    assert_eq!(kit.world.all_tasks().await.len(), 1, "a refused Task was created");
}

#[tokio::test]
async fn an_update_by_a_client_of_upstream_keeps_the_strategy_of_a_retry_policy() {
    let kit = Kit::new().await;
    kit.world.function("a", FunctionOptions::default()).await;
    let may = may("UPDATE_TASK_FUNCTION,VIEW_TASK_FUNCTION_DETAILS");
    let policy_after = async |policy: serde_json::Value| {
        let body = serde_json::json!({ "retryPolicy": policy }).to_string();
        let answered = kit.ask("PUT /tasks/v1/functions/a", &may, body).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
        kit.ask("GET /tasks/v1/functions/a", &may, "").await.json()["retryPolicy"].clone()
    };
    let json = |value: &str| serde_json::from_str::<serde_json::Value>(value).unwrap();
    let none = json(r#"{"enabled": false, "errorsToRetry": []}"#);
    assert_eq!(kit.ask("GET /tasks/v1/functions/a", &may, "").await.json()["retryPolicy"], none);
    let set =
        json(r#"{"enabled": true, "errorsToRetry": ["A"], "errorsNotToRetry": ["B"], "strategy": {"maxRetries": 5}}"#);
    let whole =
        json(r#"{"maxRetries": 5, "backoff": "exponential", "baseSeconds": 2, "maxSeconds": 3600, "jitter": true}"#);
    let mut expected = set.clone();
    expected["strategy"] = whole;
    assert_eq!(policy_after(set).await, expected);
    (expected["enabled"], expected["errorsToRetry"]) = (false.into(), json("[]"));
    assert_eq!(policy_after(json("{}")).await, expected);
    // What is read can be written.
    assert_eq!(policy_after(expected.clone()).await, expected);
    assert_eq!(policy_after(json(r#"{"strategy": null, "errorsNotToRetry": null}"#)).await, none);
}

#[tokio::test]
async fn a_function_cannot_be_renamed() {
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
    let limits = BodyLimits { default: 10, task: 20, batch: 25, function: 30, api_call: 40 };
    let kit = Kit::with(HttpConfig { limits, ..HttpConfig::default() }).await;
    let options = FunctionOptions { permission_mode: Some(PermissionMode::AllUsers), ..FunctionOptions::default() };
    kit.world.function("a", options).await;
    let may = may("CREATE_TASKS,CREATE_TASK_FUNCTION,CREATE_CREDENTIALS,CREATE_TASK_SCHEDULE");
    for (target, limit) in [
        ("POST /tasklane/v1/credentials", 10),
        ("POST /tasks/v1", 20),
        ("POST /tasks/v1/schedules", 20),
        ("POST /tasklane/v1/tasks/batch", 25),
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
async fn a_logged_in_user_can_read_who_they_are() {
    let kit = Kit::new().await;
    assert_eq!(kit.ask("GET /users/v1/me", "", "").await.code(), 104);
    let me = kit.ask("GET /users/v1/me", &may("VIEW_TASKS"), "").await.json();
    assert_eq!((me["id"].as_str(), &me["permissions"]), (Some("ada"), &serde_json::json!(["VIEW_TASKS"])));
}
