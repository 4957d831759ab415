//! The Lambda Runtime API (2018-06-01) for one process. Each process has a listener on loopback, whose address only
//! this process is told. <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
//!
//! With jails there is also a socket in the process's own jail, which our bootstraps use. The listener on loopback,
//! which all jails can reach, then serves only the Function's own processes ([`super::peers`]).

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr},
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::serve::ListenerExt as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts,
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::json;
use tasklane_model::FunctionError;
use tasklane_runtime::detach::{DetachOnDrop, detach_on_drop};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{SetOnce, mpsc},
    task::AbortHandle,
};
use tokio_util::task::TaskTracker;

use super::{
    connections::{Doors, Waits},
    limits::MAX_RESPONSE_BYTES,
    peers::{OwnProcesses, Owner},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
const DEADLINE: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
const FUNCTION_ARN: HeaderName = HeaderName::from_static("lambda-runtime-invoked-function-arn");
const TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// How long a body that belongs to no run may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// A message from the process.
#[derive(Debug)]
pub(super) enum Event {
    /// It is waiting for an invocation.
    Ready,
    /// It has answered its invocation.
    Answered(Answer),
    /// Its initialisation failed.
    InitError(FunctionError),
}

#[derive(Debug)]
pub(super) enum Answer {
    Returned(Bytes),
    TooLarge,
    Failed(FunctionError),
}

/// An invocation for the process.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) request_id: Arc<str>,
    pub(super) deadline_millis: i64,
    pub(super) function_arn: String,
    pub(super) trace_id: String,
    pub(super) payload: Bytes,
}

/// The listeners of one process, which close when this is dropped.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    pub(super) address: SocketAddr,
    deliveries: mpsc::Sender<Delivery>,
    owner: Arc<SetOnce<Owner>>,
    doors: Doors,
    servers: Vec<AbortHandle>,
}

struct Shared {
    deliveries: tokio::sync::Mutex<mpsc::Receiver<Delivery>>,
    events: mpsc::UnboundedSender<Event>,
    /// The invocation that has not been answered yet.
    current: Mutex<Option<Arc<str>>>,
    /// Held while a body is read: bodies are large, and a process has only one answer to send.
    reading: tokio::sync::Mutex<()>,
    /// Open connections, and requests that are still in progress.
    open: TaskTracker,
}

impl RuntimeApi {
    /// Starts to listen. The receiver yields the process's messages in order. With a `socket` file it listens there
    /// too, and on loopback it then accepts only the processes of [`RuntimeApi::belongs_to`].
    pub(super) async fn listen(socket: Option<&path::Path>) -> io::Result<(Self, mpsc::UnboundedReceiver<Event>)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (deliveries, queue) = mpsc::channel(1);
        let (events, told) = mpsc::unbounded_channel();
        let doors = Doors::new();
        let shared = Shared {
            deliveries: tokio::sync::Mutex::new(queue),
            events,
            current: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            open: doors.open.clone(),
        };
        let shared = Arc::new(shared);
        let handler = move |request, waits| answer(Arc::clone(&shared), request, waits);
        let owner = Arc::new(SetOnce::new());
        let servers = match socket.map(bind).transpose()? {
            None => {
                // Responses are small and awaited. If this fails, the connection is only slower.
                let prompt = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
                vec![doors.serve(prompt, handler)]
            }
            Some(private) => {
                let guarded = OwnProcesses { listener, owner: owner.clone() };
                vec![doors.serve(private, handler.clone()), doors.serve(guarded, handler)]
            }
        };
        Ok((Self { address, deliveries, owner, doors, servers }, told))
    }

    /// Sets the processes that may use this API.
    pub(super) fn belongs_to(&self, owner: Owner) {
        // Called once; a second call would have no effect.
        let _ = self.owner.set(owner);
    }

    /// Closes all connections except the one on which the process waits for its next invocation.
    pub(super) fn close_but_waiting(&self) {
        self.doors.close_but_waiting();
    }

    /// Waits until no connection is open: then everything that an exited process sent has been read.
    pub(super) async fn silent(&self) {
        self.doors.open.wait().await;
    }

    /// Passes an invocation to the `next` call that waits for it.
    pub(super) async fn deliver(&self, delivery: Delivery) {
        // Fails only if the listener is gone; the run that waits for the answer notices the process's exit.
        let _ = self.deliveries.send(delivery).await;
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.servers.iter().for_each(AbortHandle::abort);
    }
}

/// Listens on a socket file. Any process that can see it may use it.
fn bind(socket: &path::Path) -> io::Result<UnixListener> {
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    // Via the open folder, because a socket's path must be short and the data folder's may be long.
    let folder = File::open(folder)?;
    let short = path::Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    let listener = UnixListener::bind(&short)?;
    fs::set_permissions(&short, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

impl Shared {
    fn current(&self) -> std::sync::MutexGuard<'_, Option<Arc<str>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
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

async fn answer(shared: Arc<Shared>, request: Request<Incoming>, waits: Waits) -> Response<Full<Bytes>> {
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

/// Reads a body to its end and discards it: a client that is still writing would not read the response.
async fn skip(mut body: Incoming) {
    let skipping = async {
        let mut left = MAX_RESPONSE_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(still) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
            left = still;
        }
    };
    // The response is the same in either case.
    let _ = tokio::time::timeout(BODY_PATIENCE, skipping).await;
}

struct Content {
    /// `None` if the body was too large.
    bytes: Option<Bytes>,
    /// The error that a streamed response reports in its trailers if it breaks off.
    failure: Option<FunctionError>,
}

async fn read(mut body: Incoming) -> Result<Content, hyper::Error> {
    let mut bytes = BytesMut::new();
    let mut fits = true;
    let mut failure = None;
    while let Some(frame) = body.frame().await.transpose()? {
        match frame.into_data() {
            // A body that is too large is read to its end: a client that is still writing would not read the response.
            Ok(data) if bytes.len() + data.len() > MAX_RESPONSE_BYTES => {
                fits = false;
                bytes = BytesMut::new();
            }
            Ok(data) if fits => bytes.extend_from_slice(&data),
            Ok(_) => {}
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers()
                    && trailers.contains_key(ERROR_TYPE)
                {
                    let body = trailers.get(ERROR_BODY).and_then(|body| BASE64_STANDARD.decode(body).ok());
                    failure = Some(reported(&trailers, &body.unwrap_or_default()));
                }
            }
        }
    }
    Ok(Content { bytes: fits.then(|| bytes.freeze()), failure })
}

/// An error as runtimes report it: JSON with a name and a message, or else only a name in a header.
fn reported(headers: &HeaderMap, body: &[u8]) -> FunctionError {
    let mut error = FunctionError::read(body);
    if error.name.is_empty() {
        let in_header = headers.get(ERROR_TYPE).and_then(|value| value.to_str().ok());
        in_header.unwrap_or("Runtime.Unknown").clone_into(&mut error.name);
    }
    error
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
