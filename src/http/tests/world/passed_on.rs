//! Which parts of a call reach an API Function, and which parts of its response reach the client (contract §5).

use std::sync::{Arc, Mutex};

use http::Request;
use serde_json::Value;
use tasklane_model::PermissionMode;
use tasklane_service::FunctionOptions;
use tasklane_testing::TestLambda;

use super::kit::Kit;

/// A public Function that returns `answer`, and the event that it received.
async fn answering(answer: &'static str) -> (Kit, Arc<Mutex<Value>>) {
    let kit = Kit::new().await;
    let options = FunctionOptions { permission_mode: Some(PermissionMode::Public), ..FunctionOptions::default() };
    kit.world.function("web", options).await;
    let event = Arc::new(Mutex::new(Value::Null));
    let kept = event.clone();
    kit.world.lambda.behave("web", move |call| {
        *kept.lock().unwrap() = call.event;
        async move { Ok(TestLambda::returned(answer)) }
    });
    (kit, event)
}

#[tokio::test]
async fn the_path_the_query_and_the_method_reach_the_function_untouched() {
    let (kit, event) = answering(r#"{"statusCode":200}"#).await;
    for (target, path, query) in [
        ("web", "/", ""),
        ("web/", "/", ""),
        ("web//a/../b%2Fc%20d/./?x=%20&y=a+b&&z", "//a/../b%2Fc%20d/./", "?x=%20&y=a+b&&z"),
        ("web/tasks/v1/functions", "/tasks/v1/functions", ""),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
            let answered = kit.ask(&format!("{method} /tasks/v1/api/{target}"), "", "").await;
            assert_eq!(answered.status, 200, "{method} {target}: {}", answered.text);
            let event = event.lock().unwrap().clone();
            assert_eq!((event["rawPath"].as_str(), event["rawQueryString"].as_str()), (Some(path), Some(query)));
            assert_eq!(event["requestContext"]["http"]["method"], method);
        }
    }
}

#[tokio::test]
async fn binary_bodies_survive_both_ways() {
    // "/wAB" is ff 00 01 in base64.
    let answer = r#"{"statusCode":201,"headers":{"content-type":"image/x"},"body":"/wAB","isBase64Encoded":true}"#;
    let (kit, event) = answering(answer).await;
    let request = Request::post("/tasks/v1/api/web/image").header("content-type", "image/x");
    let response = kit.respond(request.body(vec![0xff_u8, 0, 1].into()).unwrap()).await;
    assert_eq!((response.0.as_u16(), &response.1["content-type"]), (201, &"image/x".parse().unwrap()));
    assert_eq!(&response.2[..], [0xff, 0, 1]);
    let event = event.lock().unwrap().clone();
    assert_eq!((event["body"].as_str(), event["isBase64Encoded"].as_bool()), (Some("/wAB"), Some(true)));
}

#[tokio::test]
async fn the_function_cannot_set_framing_headers_and_head_has_no_body() {
    let answer = r#"{"statusCode":404,"headers":{"Content-Length":"999","Connection":"upgrade",
        "Transfer-Encoding":"chunked","X-Own":"kept"},"body":"hello"}"#;
    let (kit, _) = answering(answer).await;
    let answered = kit.ask("GET /tasks/v1/api/web", "", "").await;
    assert_eq!((answered.status.as_u16(), answered.text.as_str()), (404, "hello"));
    assert_eq!(
        (&answered.headers["x-own"], &answered.headers["content-length"]),
        (&"kept".parse().unwrap(), &"5".parse().unwrap())
    );
    assert!(!answered.headers.contains_key("connection") && !answered.headers.contains_key("transfer-encoding"));
    let head = kit.ask("HEAD /tasks/v1/api/web", "", "").await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (404, ""));
}

#[tokio::test]
async fn responses_without_a_body_announce_no_length_and_head_announces_that_of_get() {
    for (answer, method, length) in [
        (r#"{"statusCode":204,"body":"nope"}"#, "GET", None),
        (r#"{"statusCode":204}"#, "GET", None),
        (r#"{"statusCode":304,"headers":{"content-length":"5"},"body":"hello"}"#, "GET", None),
        (r#"{"statusCode":205,"body":"nope"}"#, "GET", Some("0")),
        (r#"{"statusCode":204,"body":"nope"}"#, "HEAD", None),
        (r#"{"statusCode":200,"body":"hello"}"#, "HEAD", Some("5")),
        (r#"{"statusCode":200,"headers":{"Content-Length":30},"body":""}"#, "HEAD", Some("30")),
        (r#"{"statusCode":200,"headers":{"Content-Length":"30"},"body":"hello"}"#, "HEAD", Some("5")),
        (r#"{"statusCode":200,"body":""}"#, "HEAD", None),
        (r#"{"statusCode":200,"headers":{"Content-Length":"30"},"body":""}"#, "GET", Some("0")),
    ] {
        let (kit, _) = answering(answer).await;
        let answered = kit.ask(&format!("{method} /tasks/v1/api/web"), "", "").await;
        let said = answered.headers.get("content-length").map(|length| length.to_str().unwrap());
        assert_eq!((said, answered.text.as_str()), (length, ""), "{method} {answer}");
    }
}

#[tokio::test]
async fn an_invalid_response_names_the_place_of_the_stack_trace() {
    let (kit, _) = answering(r#"{"statusCode":500,"body":"Internal Server Error"}"#).await;
    let answered = kit.ask("GET /tasks/v1/api/web", "", "").await;
    assert_eq!(answered.code(), 1409);
    kit.world.service.drain().await;
    let page = kit.ask("GET /tasks/v1/apiRequests", "may VIEW_API_FUNCTION_REQUESTS", "").await.json();
    let id = page["data"][0]["id"].as_str().unwrap();
    let message = answered.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("/tasks/v1/apiRequests/{id}/logs")), "{message}");
}
