//! An HTTP client that replays canned responses to the real SDK clients, and records their requests.
//!
//! An emulator cannot be made to throttle, to show a Pending function or to lose a response; this can. Serialisation,
//! retries and time-outs are the SDK's own. Smithy's `StaticReplayClient` is not used because it can neither cut a
//! response short nor stay silent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
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

/// The response to one request.
#[derive(Debug)]
pub enum Reply {
    /// A status, headers and a body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The connection breaks after the request was sent.
    Broken,
    /// The connection breaks after the headers and half the body.
    Cut,
    /// No response ever comes.
    Silence,
}

impl Reply {
    /// 200 with this JSON.
    pub fn ok(body: Value) -> Self {
        Self::Answer(200, vec![("x-amzn-requestid", "req-ok".into())], body.to_string())
    }

    /// The AWS error of this name.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let headers = vec![("x-amzn-errortype", code.to_owned()), ("x-amzn-requestid", "req-error".into())];
        // Lambda's message is in `Message` for some errors and in `message` for others.
        Self::Answer(status, headers, serde_json::json!({ "message": message, "__type": code }).to_string())
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    /// `POST /2015-03-31/functions`, or for JSON protocols `Service.Operation`.
    name: String,
    /// The body as JSON, or null.
    body: Value,
}

/// The client. Clones share their state, so the test sees everything that the SDK's clients send.
#[derive(Clone, Debug, Default)]
pub struct ReplayClient {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    asked: Vec<Asked>,
}

impl ReplayClient {
    /// Replays these responses in order. One more request fails the test.
    pub fn replaying(replies: impl IntoIterator<Item = Reply>) -> Self {
        let state = State { replies: replies.into_iter().collect(), asked: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The names of the requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.lock().asked.iter().map(|asked| asked.name.clone()).collect()
    }

    /// The bodies of the requests of this name.
    pub fn bodies(&self, name: &str) -> Vec<Value> {
        self.lock().asked.iter().filter(|asked| asked.name == name).map(|asked| asked.body.clone()).collect()
    }

    /// Fails the test if a response is left. Call it last.
    pub fn assert_used_up(&self) {
        let left = self.lock().replies.len();
        assert_eq!(left, 0, "expected requests did not come; these came: {:?}", self.asked());
    }

    /// A configuration for SDK clients that use this client.
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
        self.state.lock().unwrap()
    }
}

impl HttpClient for ReplayClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for ReplayClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut state = self.lock();
        let name = match request.headers().get("x-amz-target") {
            Some(target) => target.to_owned(),
            None => {
                let uri = request.uri();
                let path = uri.split_once("amazonaws.com").map_or(uri, |(_, path)| path);
                format!("{} {path}", request.method())
            }
        };
        let body = request.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or(Value::Null);
        state.asked.push(Asked { name, body });
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
            None => panic!("no response is left for this request: {:?}", state.asked.last()),
        }
    }
}
