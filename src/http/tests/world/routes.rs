//! Which requests reach an endpoint.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::json;
use tasklane_http::{HttpConfig, about, api_document};

use super::kit::{Kit, ask, ask_with};

const METHODS: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PURGE"];

#[tokio::test]
async fn exactly_the_documented_methods_of_the_documented_paths_exist_with_and_without_a_slash() {
    let kit = Kit::new().await;
    let document = json!(api_document());
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), about::all().iter().map(|endpoint| endpoint.path).collect::<BTreeSet<_>>().len());
    for (template, item) in paths {
        for method in METHODS {
            let key = method.to_lowercase();
            // Every GET endpoint serves HEAD, too.
            let documented = item.get(&key).is_some() || (method == "HEAD" && item.get("get").is_some());
            for path in [filled(template), filled(template) + "/"] {
                let answered = kit.ask(&format!("{method} {path}"), "", "").await;
                if !documented {
                    let allowed = answered.headers["allow"].to_str().unwrap().split(',').collect::<BTreeSet<_>>();
                    let mut methods: BTreeSet<_> =
                        item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
                    if methods.contains("GET") {
                        methods.insert("HEAD".to_owned());
                    }
                    assert_eq!(allowed, methods.iter().map(String::as_str).collect(), "{method} {path}");
                }
                if method == "HEAD" {
                    assert_eq!(answered.status != StatusCode::NOT_FOUND, documented, "{method} {path}");
                } else {
                    assert_eq!(answered.name() != "ENDPOINT_EXCEPTION", documented, "{method} {path}");
                }
            }
        }
    }
}

fn filled(template: &str) -> String {
    let value =
        |segment: &str| if segment.starts_with('{') { "697db9a2c5f0a1b2c3d4e5f6".into() } else { segment.to_owned() };
    template.split('/').map(value).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn an_unknown_endpoint_is_404_without_a_code_and_before_any_credential_is_looked_at() {
    let kit = Kit::new().await;
    for target in [
        "GET /",
        "GET /tasks",
        "GET /tasks/v2",
        "GET /tasks/v1/697db9a2c5f0a1b2c3d4e5f6",
        "GET //tasks/v1",
        "GET /tasks/v1/api",
        "GET /tasks/v1/api/",
        "POST /tasks/v1/functions/hello",
        "TRACE /tasks/v1/api/hello",
        "GET /tasks/v1/functions/hello/execute",
    ] {
        for authorization in ["", "Bearer wrong"] {
            let answered = kit.ask(target, authorization, "").await;
            assert_eq!(answered.status, StatusCode::NOT_FOUND, "{target}");
            assert_eq!(answered.name(), "ENDPOINT_EXCEPTION", "{target}");
            assert!(answered.json().get("code").is_none(), "{target}");
        }
    }
}

#[tokio::test]
async fn names_of_endpoints_can_be_names_of_functions() {
    let kit = Kit::new().await;
    for name in ["functions", "logs", "api", "schedules", "execute"] {
        assert_eq!(kit.ask(&format!("GET /tasks/v1/functions/{name}"), "", "").await.code(), 104, "{name}");
    }
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let got = ask("GET /tasks/v1/openapi.json", "", "").await;
    let head = ask("HEAD /tasks/v1/openapi.json", "", "").await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.headers["content-length"], got.text.len().to_string());
    let head_of_error = ask("HEAD /tasks/v1", "", "").await;
    assert_eq!((head_of_error.status, head_of_error.text.as_str()), (StatusCode::UNAUTHORIZED, ""));
}

#[tokio::test]
async fn anybody_can_read_about_the_service() {
    assert_eq!(ask("GET /healthz", "", "").await.json()["status"], "up");
    assert_eq!(ask("GET /tasks/v1/openapi.json", "", "").await.json()["openapi"], "3.1.0");
    let page = ask("GET /docs", "", "").await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.text.contains("/tasks/v1/functions/{functionName}/execute"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers["cross-origin-opener-policy"], "noopener-allow-popups");
    assert_eq!(page.headers["x-frame-options"], "DENY");
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn every_response_has_its_own_id() {
    let (a, b) = (ask("GET /healthz", "", "").await, ask("GET /nowhere", "", "").await);
    assert_ne!(a.headers["x-request-id"], b.headers["x-request-id"]);
}

#[tokio::test]
async fn absolute_targets_are_the_same_as_relative_ones() {
    let answered = ask_with(HttpConfig::default(), "GET http://localhost:4000/healthz", &[], "").await;
    assert_eq!(answered.status, StatusCode::OK);
}

#[tokio::test]
async fn a_browser_at_the_root_is_sent_to_the_page_and_programs_are_not() {
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let answered = ask_with(HttpConfig::default(), "GET /", &browser, "").await;
    assert_eq!((answered.status, answered.headers["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, "docs"));
    for (request, headers) in
        [("GET /", &[("accept", "*/*")][..]), ("GET /", &[]), ("POST /", &browser), ("GET /nowhere", &browser)]
    {
        assert_eq!(
            ask_with(HttpConfig::default(), request, headers, "").await.status,
            StatusCode::NOT_FOUND,
            "{request}"
        );
    }
}

#[tokio::test]
async fn each_answer_is_seen_without_its_query() {
    thread_local! {
        static SEEN: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    fn see(call: &tasklane_http::Answered<'_>) {
        SEEN.with_borrow_mut(|seen| seen.push(format!("{} {} {}", call.method, call.path, call.status.as_u16())));
    }
    let config = || HttpConfig { on_answer: Some(tasklane_http::OnAnswer(see)), ..HttpConfig::default() };
    ask_with(config(), "GET /healthz?key=s3cret", &[], "").await;
    ask_with(config(), "POST /nowhere", &[], "").await;
    assert_eq!(SEEN.take(), ["GET /healthz 200", "POST /nowhere 404"]);
}
