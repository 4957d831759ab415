//! A small HTTP server whose responses a test determines.

// An error in a test's helper fails the test.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::to_bytes,
    extract::Request,
    http::{
        StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
    response::IntoResponse,
};
use serde_json::Value;
use tasklane_model::Secret;

use super::{BaseUrl, Client, Credential};

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET`.
    pub method: String,
    /// With the query, undecoded.
    pub target: String,
    /// The `Authorization` header; empty without one.
    pub authorization: String,
    /// Null without one.
    pub body: Value,
}

impl Seen {
    /// `GET /tasks/v1/`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// Answers every request with the result of a function, and records the requests. A string is sent as an event stream, all
/// else as JSON.
pub struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Listens on a free port of this machine.
    pub async fn start(answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, remembered) = (Arc::new(answer), seen.clone());
        let router = Router::new().fallback(move |request: Request| {
            let (answer, remembered) = (answer.clone(), remembered.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let header = parts.headers.get(AUTHORIZATION);
                let seen = Seen {
                    method: parts.method.to_string(),
                    target: parts.uri.to_string(),
                    authorization: header.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default(),
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                };
                let (status, json) = answer(&seen);
                remembered.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
                let status = StatusCode::from_u16(status).unwrap();
                match json {
                    Value::String(events) => (status, [(CONTENT_TYPE, "text/event-stream")], events).into_response(),
                    json => (status, json.to_string()).into_response(),
                }
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, serving }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A client with a token that does not pause between its tries.
    pub fn client(&self) -> Client {
        self.client_with(Credential::Bearer(Secret::new("s3cret-token")))
    }

    /// The same with these credentials.
    pub fn client_with(&self, credential: Credential) -> Client {
        Client::new(BaseUrl::from_host(&self.address).unwrap(), credential).unwrap().with_retry_delays(&[])
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `GET /tasks/v1/` and so on, in the order of arrival.
    /// The same, as [`Seen::line`] says it.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
