//! Which web pages may read which answers.

use http::StatusCode;

use super::kit::ask_with;
use crate::http::{CorsOrigins, HttpConfig};

const PREFLIGHT: [(&str, &str); 3] = [
    ("origin", "http://localhost:5173"),
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "authorization,content-type"),
];

fn config(cors: CorsOrigins) -> HttpConfig {
    HttpConfig { cors, ..HttpConfig::default() }
}

#[tokio::test]
async fn no_page_reads_answers_until_it_is_let_to() {
    let answered = ask_with(config(CorsOrigins::None), "GET /healthz", &PREFLIGHT[..1], "").await;
    assert!(!answered.headers.contains_key("access-control-allow-origin"));
    let answered = ask_with(config(CorsOrigins::None), "OPTIONS /tasks/v1", &PREFLIGHT, "").await;
    assert_eq!(answered.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn local_pages_may_sign_their_requests_when_they_are_let_to() {
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
async fn listed_pages_are_let_in_by_their_exact_origin() {
    let listed = || config(CorsOrigins::Listed(vec!["https://console.example.com".into()]));
    for (origin, allowed) in [("https://console.example.com", true), ("https://console.example.com.evil.test", false)] {
        let answered = ask_with(listed(), "GET /healthz", &[("origin", origin)], "").await;
        assert_eq!(answered.headers.contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
}

#[tokio::test]
async fn options_of_an_api_function_reach_the_function_whatever_the_setting() {
    for cors in [CorsOrigins::None, CorsOrigins::Localhost, CorsOrigins::Any] {
        let answered = ask_with(config(cors), "OPTIONS /tasks/v1/api/hello/x", &PREFLIGHT, "").await;
        assert_ne!(answered.status, StatusCode::OK);
        assert_ne!(answered.name(), "ENDPOINT_EXCEPTION");
        assert!(!answered.headers.contains_key("access-control-allow-origin"));
    }
}
