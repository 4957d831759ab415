//! A router and a client for it, in one process and without a socket.

use std::sync::Arc;

use axum::{Router, body::Body};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    auth::Authenticator,
    http::{HttpConfig, router, serve::Shared},
    testing::World,
};

/// What was answered.
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answered {
    /// The error's code, or 0 where it has none.
    pub fn code(&self) -> u64 {
        self.json()["code"].as_u64().unwrap_or_default()
    }

    /// The error's name.
    pub fn name(&self) -> String {
        self.json()["name"].as_str().unwrap_or_default().to_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// Asks for `target`, as `GET /tasks/v1`, with an Authorization header and a body where they are not empty.
pub async fn ask(target: &str, authorization: &str, body: impl Into<Body>) -> Answered {
    ask_with(HttpConfig::default(), target, &[("authorization", authorization)], body).await
}

pub async fn ask_with(
    config: HttpConfig,
    target: &str,
    headers: &[(&'static str, &str)],
    body: impl Into<Body>,
) -> Answered {
    let (method, path) = target.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost:4000");
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(HeaderName::from_static(name), *value);
    }
    send(router_with(config).await, request.body(body.into()).unwrap()).await
}

pub async fn send(router: Router, request: Request<Body>) -> Answered {
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
    Answered { status: parts.status, headers: parts.headers, text }
}

pub async fn router_with(config: HttpConfig) -> Router {
    let shared = shared(config).await;
    router(shared.service, shared.authenticator, shared.config)
}

/// Everything that handlers work with, on a database of its own.
pub async fn shared(config: HttpConfig) -> Shared {
    let service = World::at_rest(5).await.service.clone();
    Shared { service, authenticator: Arc::new(Authenticator), config }
}
