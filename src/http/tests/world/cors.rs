//! Which web pages may read which responses.

use http::StatusCode;
use tasklane_http::{CorsOrigins, HttpConfig};
use tasklane_model::PermissionMode;
use tasklane_service::FunctionOptions;
use tasklane_testing::TestLambda;

use super::kit::{Kit, ask_with};

const PREFLIGHT: [(&str, &str); 3] = [
    ("origin", "http://localhost:5173"),
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "authorization,content-type"),
];

fn config(cors: CorsOrigins) -> HttpConfig {
    HttpConfig { cors, ..HttpConfig::default() }
}

#[tokio::test]
async fn by_default_no_page_may_read_responses() {
    let answered = ask_with(config(CorsOrigins::None), "GET /healthz", &PREFLIGHT[..1], "").await;
    assert!(!answered.headers.contains_key("access-control-allow-origin"));
    let answered = ask_with(config(CorsOrigins::None), "OPTIONS /tasks/v1", &PREFLIGHT, "").await;
    assert_eq!(answered.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn local_pages_may_sign_their_requests_if_allowed() {
    let answered = ask_with(config(CorsOrigins::Localhost), "OPTIONS /tasks/v1", &PREFLIGHT, "").await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(answered.headers["access-control-allow-origin"], "http://localhost:5173");
    assert_eq!(answered.headers["access-control-allow-headers"], "authorization,content-type");
    let error = ask_with(config(CorsOrigins::Localhost), "GET /tasks/v1", &PREFLIGHT[..1], "").await;
    assert_eq!((error.code(), error.headers["access-control-allow-origin"].to_str().unwrap()), (104, PREFLIGHT[0].1));
    let elsewhere = [("origin", "https://example.com")];
    let answered = ask_with(config(CorsOrigins::Localhost), "GET /healthz", &elsewhere, "").await;
    assert!(!answered.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn listed_pages_are_allowed_by_their_exact_origin() {
    let listed = || config(CorsOrigins::Listed(vec!["https://console.example.com".into()]));
    for (origin, allowed) in [("https://console.example.com", true), ("https://console.example.com.evil.test", false)] {
        let answered = ask_with(listed(), "GET /healthz", &[("origin", origin)], "").await;
        assert_eq!(answered.headers.contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
}

#[tokio::test]
async fn unknown_paths_answer_a_preflight_like_known_ones() {
    let mut seen = Vec::new();
    for path in ["/tasks/v1", "/tasks/v1/functions/hello", "/tasks/v1/nothing/here", "/nowhere"] {
        let answered = ask_with(config(CorsOrigins::Localhost), &format!("OPTIONS {path}"), &PREFLIGHT, "").await;
        let allowed = answered.headers["access-control-allow-origin"].clone();
        seen.push((answered.status, allowed, answered.text));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    let error = ask_with(config(CorsOrigins::Localhost), "GET /nowhere", &PREFLIGHT[..1], "").await;
    assert_eq!(
        (error.status, error.headers["access-control-allow-origin"].as_bytes()),
        (StatusCode::NOT_FOUND, PREFLIGHT[0].1.as_bytes())
    );
}

/// A service with a Function in each permission mode. All of them respond in the same way.
async fn with_functions(cors: CorsOrigins) -> Kit {
    let kit = Kit::with(config(cors)).await;
    for (name, mode) in [
        ("open", PermissionMode::Public),
        ("users", PermissionMode::AllUsers),
        ("closed", PermissionMode::PermissionRequired),
    ] {
        let options = FunctionOptions { permission_mode: Some(mode), ..FunctionOptions::default() };
        kit.world.function(name, options).await;
        let answer = r#"{"statusCode":202,"headers":{"access-control-allow-origin":"http://mine"},"body":"mine"}"#;
        kit.world.lambda.behave(name, move |_| async move { Ok(TestLambda::returned(answer)) });
    }
    kit
}

#[tokio::test]
async fn a_preflight_of_an_api_function_needs_no_login_and_reveals_nothing_about_protected_functions() {
    for cors in [CorsOrigins::None, CorsOrigins::Localhost, CorsOrigins::Listed(vec!["https://other".into()])] {
        let kit = with_functions(cors).await;
        let mut seen = Vec::new();
        for name in ["users", "closed", "missing", "no%20name", ""] {
            let answered = kit.ask_with(&format!("OPTIONS /tasks/v1/api/{name}/x"), &PREFLIGHT, "").await;
            assert_eq!(answered.status, StatusCode::NO_CONTENT, "{name}: {}", answered.text);
            assert_eq!(answered.headers["access-control-allow-origin"], "*");
            assert_eq!(answered.headers["access-control-allow-headers"], "authorization,content-type");
            assert!(answered.headers["access-control-allow-methods"].to_str().unwrap().contains("PATCH"));
            assert!(!answered.headers.contains_key("content-length"));
            let mut headers = answered.headers;
            headers.remove("x-request-id");
            seen.push(headers);
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
        assert_eq!(kit.world.lambda.calls().len(), 0, "nothing ran for an anonymous caller");
        // A public Function answers its own preflights.
        let answered = kit.ask_with("OPTIONS /tasks/v1/api/open/x", &PREFLIGHT, "").await;
        assert_eq!((answered.status.as_u16(), answered.text.as_str()), (202, "mine"));
    }
}

#[tokio::test]
async fn other_options_requests_always_reach_the_function() {
    for cors in [CorsOrigins::None, CorsOrigins::Localhost, CorsOrigins::Any] {
        let kit = with_functions(cors).await;
        assert_eq!(kit.ask_with("OPTIONS /tasks/v1/api/closed/x", &PREFLIGHT[..1], "").await.code(), 104);
        let signed = [&PREFLIGHT[..], &[("authorization", "may EXECUTE_API_FUNCTION")]].concat();
        let answered = kit.ask_with("OPTIONS /tasks/v1/api/closed/x", &signed, "").await;
        assert_eq!((answered.status.as_u16(), answered.text.as_str()), (202, "mine"));
        assert_eq!(answered.headers["access-control-allow-origin"], "http://mine");
        let wrong = [&PREFLIGHT[..], &[("authorization", "Bearer wrong")]].concat();
        assert_eq!(kit.ask_with("OPTIONS /tasks/v1/api/open/x", &wrong, "").await.code(), 117);
    }
}
