//! Handles the requests of one process.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts,
};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;
use tasklane_runtime::{
    detach::{DetachOnDrop, detach_on_drop},
    lock::Lock,
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{
    super::{connections::Waits, limits::MAX_RESPONSE_BYTES},
    body::{BODY_PATIENCE, Content, read, reported, skip},
    messages::{Answer, Delivery, Event},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
const DEADLINE: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
const FUNCTION_ARN: HeaderName = HeaderName::from_static("lambda-runtime-invoked-function-arn");
const TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");

/// The state that the requests of one process share.
pub(super) struct Shared {
    deliveries: tokio::sync::Mutex<mpsc::Receiver<Delivery>>,
    events: mpsc::UnboundedSender<Event>,
    /// The invocation that has not been answered yet.
    current: Lock<Option<Arc<str>>>,
    /// Held while a body is read: bodies are large, and a process has only one answer to send.
    reading: tokio::sync::Mutex<()>,
    /// Open connections, and requests that are still in progress.
    open: TaskTracker,
}

impl Shared {
    pub(super) fn new(
        deliveries: mpsc::Receiver<Delivery>,
        events: mpsc::UnboundedSender<Event>,
        open: TaskTracker,
    ) -> Self {
        Self {
            deliveries: tokio::sync::Mutex::new(deliveries),
            events,
            current: Lock::default(),
            reading: tokio::sync::Mutex::default(),
            open,
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Arc<str>>> {
        self.current.lock()
    }

    /// Handles a request to its end, even if the connection closes meanwhile.
    fn hear<F>(self: Arc<Self>, what: impl FnOnce(Arc<Self>) -> F) -> DetachOnDrop<F>
    where
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let open = self.open.clone();
        detach_on_drop(&open, what(self))
    }

    /// Accepts the answer to the current invocation, once.
    fn answered(&self, request_id: &str, answer: Answer) -> Response<Full<Bytes>> {
        let mut current = self.current();
        if current.as_deref() != Some(request_id) {
            return unknown_request();
        }
        *current = None;
        let too_large = matches!(answer, Answer::TooLarge);
        let _ = self.events.send(Event::Answered(answer));
        if too_large {
            let message = format!("Exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes).");
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message);
        }
        accepted()
    }
}

/// The endpoint of a request. A general router would take a considerable part of a call's time.
enum Route<'a> {
    Next,
    Response(&'a str),
    Error(&'a str),
    InitError,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        match path.strip_prefix("/2018-06-01/runtime/")? {
            "invocation/next" => Some(Self::Next),
            "init/error" => Some(Self::InitError),
            rest => match rest.strip_prefix("invocation/")?.split_once('/')? {
                (request_id, "response") => Some(Self::Response(request_id)),
                (request_id, "error") => Some(Self::Error(request_id)),
                _ => None,
            },
        }
    }

    fn method(&self) -> Method {
        match self {
            Self::Next => Method::GET,
            Self::Response(_) | Self::Error(_) | Self::InitError => Method::POST,
        }
    }
}

pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>, waits: Waits) -> Response<Full<Bytes>> {
    let (Parts { method, uri, headers, .. }, body) = request.into_parts();
    match Route::of(uri.path()) {
        None => plain(StatusCode::NOT_FOUND, Bytes::new()),
        Some(route) if method != route.method() => plain(StatusCode::METHOD_NOT_ALLOWED, Bytes::new()),
        Some(Route::Next) => next(&shared, &waits).await,
        Some(Route::Response(request_id)) => {
            let request_id = request_id.to_owned();
            shared.hear(|shared| async move { shared.response(&request_id, body).await }).await
        }
        Some(Route::Error(request_id)) => {
            let request_id = request_id.to_owned();
            shared.hear(|shared| async move { shared.error(&request_id, &headers, body).await }).await
        }
        Some(Route::InitError) => shared.hear(|shared| async move { shared.init_error(&headers, body).await }).await,
    }
}

async fn next(shared: &Shared, waits: &Waits) -> Response<Full<Bytes>> {
    // The connection is marked before the process counts as ready, because then all other connections may be closed.
    let mut deliveries = match shared.deliveries.try_lock() {
        Ok(deliveries) => {
            waits.set(true);
            let _ = shared.events.send(Event::Ready);
            deliveries
        }
        Err(_) => {
            let _ = shared.events.send(Event::Ready);
            let deliveries = shared.deliveries.lock().await;
            waits.set(true);
            deliveries
        }
    };
    let delivery = deliveries.recv().await;
    waits.set(false);
    drop(deliveries);
    let Some(delivery) = delivery else {
        return refusal(StatusCode::FORBIDDEN, "InvalidStateTransition", "The process is about to end");
    };
    let Delivery { request_id, deadline_millis, function_arn, trace_id, payload } = delivery;
    let mut response = plain(StatusCode::OK, payload);
    for (name, value) in [
        (REQUEST_ID, request_id.to_string()),
        (DEADLINE, deadline_millis.to_string()),
        (FUNCTION_ARN, function_arn),
        (TRACE_ID, trace_id),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    *shared.current() = Some(request_id);
    response
}

impl Shared {
    async fn response(&self, request_id: &str, body: Incoming) -> Response<Full<Bytes>> {
        let Some((read, _turn)) = self.read_answer(request_id, body).await else { return unknown_request() };
        let answer = match read {
            Ok(Content { failure: Some(failure), .. }) => Answer::Failed(failure),
            Ok(Content { bytes: Some(bytes), .. }) => Answer::Returned(bytes),
            Ok(Content { bytes: None, .. }) => Answer::TooLarge,
            // The process broke off: either it died, which is noticed elsewhere, or it will try again.
            Err(_) => return truncated(),
        };
        self.answered(request_id, answer)
    }

    async fn error(&self, request_id: &str, headers: &HeaderMap, body: Incoming) -> Response<Full<Bytes>> {
        let Some((read, _turn)) = self.read_answer(request_id, body).await else { return unknown_request() };
        let answer = match read {
            Ok(Content { bytes: Some(bytes), .. }) => Answer::Failed(reported(headers, &bytes)),
            Ok(Content { bytes: None, .. }) => Answer::TooLarge,
            Err(_) => return truncated(),
        };
        self.answered(request_id, answer)
    }

    async fn init_error(&self, headers: &HeaderMap, body: Incoming) -> Response<Full<Bytes>> {
        let reading = async {
            let _turn = self.reading.lock().await;
            read(body).await
        };
        // No run's time limit applies here.
        let Ok(read) = tokio::time::timeout(BODY_PATIENCE, reading).await else { return truncated() };
        let bytes = read.ok().and_then(|content| content.bytes).unwrap_or_default();
        let _ = self.events.send(Event::InitError(reported(headers, &bytes)));
        accepted()
    }

    /// Reads an answer to this invocation, one body at a time. If there is no such invocation, the body is discarded
    /// and the result is `None`. There is no time limit except the run's, because an answer may be streamed.
    async fn read_answer(
        &self,
        request_id: &str,
        body: Incoming,
    ) -> Option<(Result<Content, hyper::Error>, tokio::sync::MutexGuard<'_, ()>)> {
        let is_current = || self.current().as_deref() == Some(request_id);
        if is_current() {
            let turn = self.reading.lock().await;
            if is_current() {
                return Some((read(body).await, turn));
            }
        }
        skip(body).await;
        None
    }
}

fn accepted() -> Response<Full<Bytes>> {
    plain(StatusCode::ACCEPTED, Bytes::from_static(b"{\"status\":\"OK\"}"))
}

fn unknown_request() -> Response<Full<Bytes>> {
    refusal(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
}

fn truncated() -> Response<Full<Bytes>> {
    refusal(StatusCode::BAD_REQUEST, "TruncatedBody", "The body was not complete")
}

fn refusal(status: StatusCode, kind: &str, message: &str) -> Response<Full<Bytes>> {
    plain(status, json!({"errorType": kind, "errorMessage": message}).to_string().into())
}

fn plain(status: StatusCode, json: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(json));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
