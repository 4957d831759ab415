//! Handlers, and the steps that come before them.

use std::{marker::PhantomData, sync::Arc};

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, Request, header, request::Parts};
use tasklane_auth::{Authenticator, RequestParts};
use tasklane_model::{Caller, Permission, Result};
use tasklane_service::Service;
use tokio_util::task::TaskTracker;

use super::{
    access::{Access, AccessRule},
    answer::Answer,
    body::Incoming,
    config::HttpConfig,
    connection::{ClientAddress, ClientUri},
    cors,
    endpoint::PathValues,
    head::Head,
    input::Input,
    params::Params,
};

/// State that all requests share.
pub struct Shared {
    pub service: Service,
    /// Identifies callers by their credentials.
    pub authenticator: Arc<Authenticator>,
    pub config: HttpConfig,
    /// The requests in progress. Each is completed even if its client hangs up, so that a Function's outcome is never
    /// lost with a connection. To stop the process, close this and wait for it.
    pub in_flight: TaskTracker,
}

/// An async function whose arguments are the service, the caller's access and, optionally, the path and query, and the
/// body. They are read in this order, and the first error ends the request.
///
/// `M` tells the shapes of such functions apart: without it, the compiler takes the four implementations for
/// overlapping.
pub trait Handler<M>: Clone + Send + Sync + 'static {
    /// Who may call.
    type Access: Access;
    /// The values read from the path and the query.
    type Params: Params;
    /// The value read from the body.
    type Input: Input;
    type Answer: Answer;

    fn call(
        &self,
        service: Service,
        access: Self::Access,
        params: Self::Params,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Answer>> + Send;
}

/// Takes a request through the steps of its handler: authenticate the caller, check their access, read the path and the
/// query, check their access to the Function that these name, read the body, and call the handler. So a caller who is
/// refused never has to send a body first.
pub async fn handle<M, H: Handler<M>>(
    shared: &Shared,
    request: Request<Body>,
    path_values: PathValues,
    handler: H,
) -> Result<Response> {
    let limit = H::Input::limit(&shared.config.limits);
    let Opened { caller, head, body } = open(shared, request, path_values, limit).await?;
    let access = H::Access::admit(caller)?;
    let params = H::Params::read(&head)?;
    if let Err(refused) = access.admit_to(&shared.service, params.function()).await {
        let is_api = H::Access::RULE == AccessRule::PermissionMode(Permission::ExecuteApiFunction);
        return match is_api && cors::is_preflight(&head.method, &head.headers) {
            true => Ok(cors::allow_any_request(&head.headers)),
            false => Err(refused),
        };
    }
    let input = H::Input::receive(&head, body, &shared.config, access.is_anonymous()).await?;
    handler.call(shared.service.clone(), access, params, input).await?.into_response()
}

/// A request whose sender is known.
struct Opened {
    caller: Caller,
    head: Head,
    body: Incoming,
}

/// Identifies the caller. This is the same for every handler, so the program has it once.
async fn open(
    shared: &Shared,
    request: Request<Body>,
    path_values: PathValues,
    limit: Option<usize>,
) -> Result<Opened> {
    let (parts, body) = request.into_parts();
    let mut body = Incoming::new(body, &parts.headers);
    let form_limit = limit.unwrap_or(shared.config.limits.default);
    let caller = authenticate(shared, &parts, &mut body, form_limit).await?;
    let head = Head::new(parts, path_values).reached_by(shared.config.public_url.as_ref());
    Ok(Opened { caller, head, body })
}

/// Identifies the caller. If the signature covers a form, the form is read first. Its sender is still anonymous at that
/// point, so it is charged as an anonymous body.
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

impl<F, Fut, A, O> Handler<(A,)> for F
where
    F: Fn(Service, A) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<O>> + Send,
    A: Access,
    O: Answer,
{
    type Access = A;
    type Params = ();
    type Input = ();
    type Answer = O;

    fn call(&self, service: Service, access: A, (): (), (): ()) -> impl Future<Output = Result<O>> + Send {
        self(service, access)
    }
}

impl<F, Fut, A, P, O> Handler<(A, P)> for F
where
    F: Fn(Service, A, P) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<O>> + Send,
    A: Access,
    P: Params,
    O: Answer,
{
    type Access = A;
    type Params = P;
    type Input = ();
    type Answer = O;

    fn call(&self, service: Service, access: A, params: P, (): ()) -> impl Future<Output = Result<O>> + Send {
        self(service, access, params)
    }
}

/// Marks handlers that read the body but not the path, so that they differ from those that read only the path.
#[derive(Debug)]
pub struct BodyOnly<A, I>(PhantomData<fn() -> (A, I)>);

impl<F, Fut, A, I, O> Handler<BodyOnly<A, I>> for F
where
    F: Fn(Service, A, I) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<O>> + Send,
    A: Access,
    I: Input,
    O: Answer,
{
    type Access = A;
    type Params = ();
    type Input = I;
    type Answer = O;

    fn call(&self, service: Service, access: A, (): (), input: I) -> impl Future<Output = Result<O>> + Send {
        self(service, access, input)
    }
}

impl<F, Fut, A, P, I, O> Handler<(A, P, I)> for F
where
    F: Fn(Service, A, P, I) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<O>> + Send,
    A: Access,
    P: Params,
    I: Input,
    O: Answer,
{
    type Access = A;
    type Params = P;
    type Input = I;
    type Answer = O;

    fn call(&self, service: Service, access: A, params: P, input: I) -> impl Future<Output = Result<O>> + Send {
        self(service, access, params, input)
    }
}
