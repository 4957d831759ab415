//! A wire for tests: canned answers, and a record of what was asked.
//!
//! What an emulator cannot be made to show (throttling, a Pending function, a lost response) is replayed here against
//! the real SDK clients, so that serialisation, retries and time-outs are the SDK's own.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

use crate::{
    model::Timestamp,
    ports::{Clock, PortFuture},
};

/// What the wire does with the next request.
pub(crate) enum Reply {
    /// Answers: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Breaks the connection after the request was sent.
    Broken,
    /// Sends headers and half a body, then breaks the connection.
    Cut,
    /// Never answers.
    Silence,
}

impl Reply {
    /// 200 with this JSON.
    pub fn ok(body: Value) -> Self {
        Self::Answer(200, vec![("x-amzn-requestid", "req-ok".into())], body.to_string())
    }

    /// AWS's error of this name.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let headers = vec![("x-amzn-errortype", code.to_owned()), ("x-amzn-requestid", "req-error".into())];
        // Lambda's message is in `Message` for some errors and in `message` for others.
        Self::Answer(status, headers, serde_json::json!({ "message": message, "__type": code }).to_string())
    }
}

/// One request as it went out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// `POST /2015-03-31/functions`, or for JSON protocols `Service.Operation`.
    pub what: String,
    /// The body as JSON, or null.
    pub body: Value,
}

/// The wire: shared by the client that sends and the test that looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    asked: Vec<Asked>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Wire {
    /// Answers the next requests with these, in order. One request more breaks the test.
    pub fn replaying(replies: impl IntoIterator<Item = Reply>) -> Self {
        let state = State { replies: replies.into_iter().collect(), asked: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// What was asked so far, by name.
    pub fn asked(&self) -> Vec<String> {
        self.lock().asked.iter().map(|asked| asked.what.clone()).collect()
    }

    /// The bodies of the requests of this name.
    pub fn bodies(&self, what: &str) -> Vec<Value> {
        self.lock().asked.iter().filter(|asked| asked.what == what).map(|asked| asked.body.clone()).collect()
    }

    /// That every canned answer was asked for: call it last.
    pub fn assert_used_up(&self) {
        let left = self.lock().replies.len();
        assert_eq!(left, 0, "requests that were expected did not come; came: {:?}", self.asked());
    }

    /// A configuration whose clients send through this wire.
    pub fn sdk_config(&self) -> aws_config::SdkConfig {
        aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "AKIATEST", "secret", None, None, "test",
            )))
            .http_client(SharedHttpClient::new(self.clone()))
            .retry_config(aws_config::retry::RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
            .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
                aws_smithy_async::rt::sleep::TokioSleep::new(),
            ))
            .build()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut state = self.lock();
        let what = match request.headers().get("x-amz-target") {
            Some(target) => target.to_owned(),
            None => {
                let uri = request.uri();
                let path = uri.split_once("amazonaws.com").map_or(uri, |(_, path)| path);
                format!("{} {path}", request.method())
            }
        };
        let body = request.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or(Value::Null);
        state.asked.push(Asked { what, body });
        match state.replies.pop_front() {
            Some(Reply::Answer(status, headers, body)) => {
                let mut answer = http::Response::builder().status(status);
                for (name, value) in headers {
                    answer = answer.header(name, value);
                }
                let answer = answer.body(SdkBody::from(body)).unwrap();
                HttpConnectorFuture::ready(Ok(HttpResponse::try_from(answer).unwrap()))
            }
            Some(Reply::Broken) => {
                HttpConnectorFuture::ready(Err(ConnectorError::io("the connection was reset".into())))
            }
            Some(Reply::Cut) => {
                let halves: Vec<Result<http_body::Frame<bytes::Bytes>, std::io::Error>> =
                    vec![Ok(http_body::Frame::data("{\"a\":".into())), Err(std::io::ErrorKind::ConnectionReset.into())];
                let body = http_body_util::StreamBody::new(futures::stream::iter(halves));
                let answer = http::Response::builder().body(SdkBody::from_body_1_x(body)).unwrap();
                HttpConnectorFuture::ready(Ok(HttpResponse::try_from(answer).unwrap()))
            }
            Some(Reply::Silence) => HttpConnectorFuture::new(std::future::pending()),
            None => panic!("a request that nothing was prepared for: {:?}", state.asked.last()),
        }
    }
}

/// A clock that is as late as was slept on it: waiting takes no time.
#[derive(Debug)]
pub(crate) struct SleeplessClock(Mutex<Timestamp>);

impl SleeplessClock {
    /// Starts at `now`.
    pub fn at(now: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(now.parse().unwrap())))
    }
}

impl Clock for SleeplessClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()> {
        Box::pin(async move {
            let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *now = now.saturating_add(duration);
        })
    }
}
