//! A small HTTP server whose responses a test determines.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::to_bytes,
    extract::Request,
    http::{StatusCode, header::AUTHORIZATION},
    response::IntoResponse,
};
use serde_json::Value;

use super::{BaseUrl, Client, Credential};
use crate::model::Secret;

/// A request as it was received.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// With the query, undecoded.
    pub(crate) target: String,
    pub(crate) authorization: String,
    pub(crate) body: Value,
}

impl Seen {
    /// `GET /tasks/v1/`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// Answers every request with the result of a function, and records the requests.
pub(crate) struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static) -> Self {
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
                (StatusCode::from_u16(status).unwrap(), json.to_string()).into_response()
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, serving }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with(Credential::Bearer(Secret::new("s3cret-token")))
    }

    pub(crate) fn client_with(&self, credential: Credential) -> Client {
        Client::new(BaseUrl::from_host(&self.address).unwrap(), credential).unwrap().with_retry_delays(&[])
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `GET /tasks/v1/` and so on, in the order of arrival.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
