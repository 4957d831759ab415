//! How a request is answered, from its arrival to the line that the log keeps of it.

use std::{any::Any, error::Error as StdError, net::IpAddr, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header, request::Parts};
use tracing::{Instrument, Span, field};

use super::{
    access::{Access, AccessRule},
    answer::{Answer, error_response},
    body::Incoming,
    config::HttpConfig,
    cors,
    endpoint::{Endpoint, Handler},
    head::Head,
    input::Input,
    params::Params,
};
use crate::{
    auth::{Authenticator, RequestParts},
    detach::detach_on_drop,
    model::{Caller, Error, ErrorKind, Permission, Result},
    service::Service,
};

/// Names one request, in the log and to its client.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every handler works with.
pub struct Shared {
    /// The service.
    pub service: Service,
    /// Knows callers by their credentials.
    pub authenticator: Arc<Authenticator>,
    /// The settings.
    pub config: HttpConfig,
}

/// The URL of a request as its client wrote it, for an entry point to put into the request's extensions when it had
/// to change the path (API Gateway puts a stage before it): OAuth 1.0a signs what the client wrote.
#[derive(Clone, Debug)]
pub struct ClientUri(pub Uri);

/// Where a request came from, for an entry point to put into the request's extensions: as the connection or API Gateway
/// says, never as a header of the client's does. Behind a proxy it is the proxy's address.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// The address of this machine by which a client reached it, for an entry point to put into the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct LocalAddress(pub IpAddr);

/// The answer to a request that an entry point refuses, before it can be routed.
pub fn refusal(error: Error) -> Response {
    let (span, id) = request_span(&http::Method::default(), "");
    span.in_scope(|| finish(Err(error), Instant::now(), id))
}

/// Answers a request that was routed to `endpoint`, and logs it.
///
/// A client that hangs up, or whose patience ends, does not stop half-way what it began, and a panic ends one request
/// only.
pub async fn answer(shared: Arc<Shared>, endpoint: &Endpoint, request: Request<Body>) -> Response {
    let (span, id) = request_span(request.method(), endpoint.path);
    let started = Instant::now();
    let patience = shared.config.answer_patience;
    let in_flight = shared.config.in_flight.clone();
    // Nothing is looked at after a panic that could have been left half-way: what is shared is behind locks.
    let work = AssertUnwindSafe(endpoint.serve(shared, request).instrument(span.clone())).catch_unwind();
    let result = match tokio::time::timeout(patience, detach_on_drop(&in_flight, work)).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Error::internal(format!("the handler panicked: {}", panic_message(panic.as_ref())))),
        Err(_) => Err(Error::internal(format!("no answer within {} seconds", patience.as_secs()))),
    };
    span.in_scope(|| finish(result, started, id))
}

/// Answers a request that no endpoint is meant by. Its credential is not looked at: there is nothing to let it in to.
pub async fn no_endpoint(request: Request<Body>) -> Response {
    let (span, id) = request_span(request.method(), "");
    let (parts, body) = request.into_parts();
    drop(Incoming::new(body, &parts.headers));
    let path: String = parts.uri.path().chars().take(128).collect();
    let message = format!("There is no endpoint {} {path}.", parts.method);
    span.in_scope(|| finish(Err(Error::new(ErrorKind::Endpoint, message)), Instant::now(), id))
}

/// Does what the handler's signature says, in this order: who calls, whether they are let in, the path and the
/// query, whether they are let in to the Function that these name, the body, and then the service. So nobody's body is
/// waited for who is refused.
pub async fn handle<M, H: Handler<M>>(
    shared: &Shared,
    request: Request<Body>,
    template: &str,
    handler: H,
) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let mut body = Incoming::new(body, &parts.headers);
    let form_limit = H::Input::limit(&shared.config.limits).unwrap_or(shared.config.limits.default);
    let caller = authenticate(shared, &parts, &mut body, form_limit).await?;
    let access = H::Access::admit(caller)?;
    let head = Head::new(parts, template);
    let params = H::Params::read(&head)?;
    if let Err(refused) = access.admit_to(&shared.service, params.function()).await {
        let is_api = H::Access::RULE == AccessRule::PermissionMode(Permission::ExecuteApiFunction);
        return match is_api && cors::is_preflight(&head.method, &head.headers) {
            true => Ok(cors::let_the_request_come(&head.headers)),
            false => Err(refused),
        };
    }
    let body = match H::Input::limit(&shared.config.limits) {
        Some(limit) => {
            H::Input::check(&head)?;
            let account = shared.config.bodies.account(access.is_anonymous());
            body.read(limit, shared.config.body_patience, account).await?
        }
        None => Bytes::new(),
    };
    let input = H::Input::read(&head, body)?;
    handler.call(shared.service.clone(), access, params, input).await?.into_response()
}

/// Who calls. A form that is signed with the rest is read for that, as the body of somebody who has not said who they are.
async fn authenticate(shared: &Shared, parts: &Parts, body: &mut Incoming, limit: usize) -> Result<Caller> {
    let config = &shared.config;
    if config.public_url.is_none() && is_signed(&parts.headers) {
        config.hosts.check_signed(parts)?;
    }
    let url = client_url(parts, config);
    let mut request = RequestParts {
        method: parts.method.as_str(),
        url: &url,
        headers: &parts.headers,
        form: None,
        address: parts.extensions.get::<ClientAddress>().map(|address| address.0),
    };
    let form;
    if shared.authenticator.needs_form(&request).await {
        form = body.read_ahead(limit, config.body_patience, config.bodies.account(true)).await?;
        request.form = Some(&form);
    }
    shared.authenticator.authenticate(request).await
}

fn is_signed(headers: &HeaderMap) -> bool {
    let scheme =
        |value: &HeaderValue| value.as_bytes().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"oauth"));
    headers.get(header::AUTHORIZATION).is_some_and(scheme)
}

/// The URL as the client wrote it.
fn client_url(parts: &Parts, config: &HttpConfig) -> String {
    let uri = parts.extensions.get::<ClientUri>().map_or(&parts.uri, |seen| &seen.0);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    match &config.public_url {
        Some(public) => format!("{}://{}{target}", public.scheme(), public.authority()),
        None => {
            let scheme = uri.scheme_str().unwrap_or("http");
            let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let authority = uri.authority().map(|authority| authority.as_str()).or(host).unwrap_or("localhost");
            format!("{scheme}://{authority}{target}")
        }
    }
}

/// Neither headers nor queries nor bodies are part of it: they carry credentials and people's data.
fn request_span(method: &http::Method, route: &str) -> (Span, String) {
    let mut random = [0; 8];
    // An id only tells lines of the log apart: when there is no chance, they are harder to tell apart, no more.
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
            let cause = error.cause().map(|cause| with_sources(cause));
            if status >= 500 {
                tracing::error!(status, millis, error = name, cause, "answered with a fault of ours");
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

fn with_sources(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
