//! Answers a request, from its arrival to its line in the log.

// The clock and the random numbers are only for that line.
#![allow(clippy::disallowed_methods)]

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{body::Body, response::Response};
use futures::FutureExt as _;
use http::{HeaderName, HeaderValue, Method, Request};
use tasklane_model::{Error, ErrorKind, Result, with_causes};
use tasklane_runtime::detach::detach_on_drop;
use tracing::{Instrument, Span, field};

use super::{
    answer::error_response,
    body::Incoming,
    endpoint::{Endpoint, PathValues},
    handler::Shared,
};

/// Identifies one request, in the log and for its client.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The response to a request that an entry point refuses before it can be routed.
pub fn refusal(error: Error) -> Response {
    let (span, id) = request_span(&Method::default(), "");
    span.in_scope(|| finish(Err(error), Instant::now(), id))
}

/// Answers a request that was routed to `endpoint`, and logs it.
///
/// The work continues if the client hangs up or the response takes too long, and a panic ends only this request.
pub async fn answer(
    shared: Arc<Shared>,
    endpoint: &Endpoint,
    request: Request<Body>,
    path_values: PathValues,
) -> Response {
    let (span, id) = request_span(request.method(), endpoint.path);
    let started = Instant::now();
    let patience = shared.config.answer_patience;
    let in_flight = shared.in_flight.clone();
    // A panic cannot leave shared state half-changed for others to see: it is all behind locks.
    let work = AssertUnwindSafe(endpoint.serve(shared, request, path_values).instrument(span.clone())).catch_unwind();
    let result = match tokio::time::timeout(patience, detach_on_drop(&in_flight, work)).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Error::internal(format!("the handler panicked: {}", panic_message(panic.as_ref())))),
        Err(_) => Err(Error::internal(format!("no response within {} seconds", patience.as_secs()))),
    };
    span.in_scope(|| finish(result, started, id))
}

/// Answers a request that no endpoint matches, without looking at its credential.
pub async fn no_endpoint(request: Request<Body>) -> Response {
    let (span, id) = request_span(request.method(), "");
    let (parts, body) = request.into_parts();
    drop(Incoming::new(body, &parts.headers));
    let path: String = parts.uri.path().chars().take(128).collect();
    let message = format!("There is no endpoint {} {path}.", parts.method);
    span.in_scope(|| finish(Err(Error::new(ErrorKind::Endpoint, message)), Instant::now(), id))
}

/// Headers, queries and bodies are left out: they carry credentials and personal data.
fn request_span(method: &Method, route: &str) -> (Span, String) {
    let mut random = [0; 8];
    // The id only tells log lines apart. Without randomness they are harder to tell apart, which is not worth an error.
    let _ = getrandom::fill(&mut random);
    let id = hex::encode(random);
    let span = tracing::info_span!("request", %method, route, request_id = id, status = field::Empty);
    (span, id)
}

fn finish(result: Result<Response>, started: Instant, id: String) -> Response {
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut response = match result {
        Ok(response) => {
            tracing::info!(status = response.status().as_u16(), millis, "answered");
            response
        }
        Err(error) => {
            let (status, name) = (error.kind().status(), error.kind().name());
            let cause = error.cause().map(|cause| with_causes(cause));
            if status >= 500 {
                tracing::error!(status, millis, error = name, cause, "answered with a server error");
            } else {
                tracing::info!(status, millis, error = name, cause, "answered with an error");
            }
            error_response(&error)
        }
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
