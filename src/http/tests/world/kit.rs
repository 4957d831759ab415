//! A service with a router, and a client for it, in one process and without a socket.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tasklane_auth::{AuthSettings, Authenticator, IssuedCredential, issue};
use tasklane_http::{HttpConfig, Router, handler::Shared, router};
use tasklane_model::{Identity, Permissions, Timestamp, UserId};
use tasklane_ports::{Ids, SystemChance};
use tasklane_testing::World;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// A response.
#[derive(Debug)]
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

/// A service and the router in front of it.
pub struct Kit {
    pub world: World,
    pub router: Router,
    /// Every secret of every credential that it issued.
    pub issued: Mutex<Vec<String>>,
}

impl Kit {
    pub async fn new() -> Self {
        Self::with(HttpConfig::default()).await
    }

    pub async fn with(config: HttpConfig) -> Self {
        let world = World::at_rest(5).await;
        let shared = shared(&world, config);
        let router = router(shared.service, shared.authenticator, shared.config, shared.in_flight);
        Self { router, world, issued: Mutex::default() }
    }

    /// A credential of Ada's with these permissions.
    pub async fn credential(&self, permissions: &[&str], expires: Option<Timestamp>) -> IssuedCredential {
        let identity = Identity {
            user_id: UserId::parse("ada").unwrap(),
            application_id: None,
            permissions: Permissions::parse(permissions.iter().copied()).unwrap(),
        };
        let ids = Ids::new(Arc::new(SystemChance));
        let (shown, stored) = issue(identity, expires, self.world.now(), &ids, &*self.world.secrets).await.unwrap();
        self.world.store.credentials.put(&stored).await.unwrap();
        let secrets = [&shown.access_token, &shown.consumer_secret, &shown.token_secret];
        self.issued.lock().unwrap().extend(secrets.map(|secret| secret.expose().to_owned()));
        shown
    }

    /// Sends a request for `target`, such as `GET /tasks/v1`. `who` is the Authorization header: an empty one means no
    /// credential, and `may A,B` means Ada with these permissions.
    pub async fn ask(&self, target: &str, who: &str, body: impl Into<Body>) -> Answered {
        self.ask_with(target, &[("authorization", who)], body).await
    }

    pub async fn ask_with(&self, target: &str, headers: &[(&'static str, &str)], body: impl Into<Body>) -> Answered {
        self.send(self.request(target, headers, body).await).await
    }

    /// The request that [`Kit::ask`] sends.
    pub async fn request(
        &self,
        target: &str,
        headers: &[(&'static str, &str)],
        body: impl Into<Body>,
    ) -> Request<Body> {
        let (method, path) = target.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost:4000");
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            let value = match value.strip_prefix("may ") {
                Some(permissions) => {
                    let names = permissions.split(',').filter(|name| !name.is_empty()).collect::<Vec<_>>();
                    format!("Bearer {}", self.credential(&names, None).await.access_token.expose())
                }
                None => (*value).to_owned(),
            };
            request = request.header(HeaderName::from_static(name), value);
        }
        request.body(body.into()).unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Answered {
        let (status, headers, body) = self.respond(request).await;
        Answered { status, headers, text: String::from_utf8(body.into()).unwrap() }
    }

    pub async fn respond(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Bytes) {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
    }
}

/// One request to a new service.
pub async fn ask(target: &str, who: &str, body: impl Into<Body>) -> Answered {
    Kit::new().await.ask(target, who, body).await
}

/// One request to a new service.
pub async fn ask_with(
    config: HttpConfig,
    target: &str,
    headers: &[(&'static str, &str)],
    body: impl Into<Body>,
) -> Answered {
    Kit::with(config).await.ask_with(target, headers, body).await
}

/// What the requests of a service share.
pub fn shared(world: &World, config: HttpConfig) -> Shared {
    let authenticator = Authenticator::new(
        Arc::new(world.store.credentials.clone()),
        world.secrets.clone(),
        Arc::new(world.store.nonces.clone()),
        world.clock.clone(),
        AuthSettings::default(),
    );
    Shared {
        service: world.service.clone(),
        authenticator: Arc::new(authenticator),
        config,
        in_flight: TaskTracker::new(),
    }
}
