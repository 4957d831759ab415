//! Endpoints: how each is reached, what the API document says of it, and what it does — said once.

use std::{fmt, marker::PhantomData, sync::Arc};

use axum::{body::Body, response::Response};
use futures::future::BoxFuture;
use http::{Method, Request};
use utoipa::openapi::path::HttpMethod;

use super::{
    access::{Access, AccessRule},
    answer::Answer,
    input::Input,
    openapi::{Description, Schemas, Types},
    params::Params,
    serve::{self, Shared},
};
use crate::{
    model::{ErrorKind, Result},
    service::Service,
};

/// One method of one path.
#[derive(Clone)]
pub struct Endpoint {
    /// Its method.
    pub method: Method,
    /// Its path as the API document shows it, without a trailing slash: `/tasks/v1/{taskId}/logs`.
    pub path: &'static str,
    /// The paths that the router matches.
    pub(super) routes: Vec<String>,
    /// What the API document says of it.
    pub(super) description: Description,
    serve: Serve,
}

type Serve = Arc<dyn Fn(Arc<Shared>, Request<Body>) -> BoxFuture<'static, Result<Response>> + Send + Sync>;

impl Endpoint {
    /// The endpoint that `handler` serves. Its signature says who is let in and what is read, and answers are
    /// described by their types; see [`Handler`].
    pub fn new<M: 'static, H: Handler<M>>(method: Method, path: &'static str, id: &str, handler: H) -> Self {
        let path_name = path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(name, _)| name);
        let description = Description {
            id: id.to_owned(),
            access: H::Access::RULE,
            path_name,
            types: types::<M, H>,
            errors: [H::Params::errors(), H::Input::errors()].concat(),
            summary: String::new(),
            about: None,
            tag: "",
            deprecated: false,
        };
        let serve: Serve = Arc::new(move |shared, request| {
            let handler = handler.clone();
            Box::pin(async move { serve::handle(&shared, request, path, handler).await })
        });
        let routes = vec![path.to_owned(), format!("{path}/")];
        Self { method, path, routes, description, serve }
    }

    /// Groups it in the API document.
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.description.tag = tag;
        self
    }

    /// Says in a few words what it does.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.description.summary = summary.into();
        self
    }

    /// Says more of what it does.
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.description.about = Some(about.into());
        self
    }

    /// The errors that the service can answer with, besides those that who is let in and what is read bring along.
    pub fn fails(mut self, errors: &[ErrorKind]) -> Self {
        self.description.errors.extend(errors);
        self
    }

    /// Marks it as one that nobody should begin to use.
    pub fn deprecated(mut self) -> Self {
        self.description.deprecated = true;
        self
    }

    /// Matches this path instead of the document's.
    pub(super) fn routed_as(mut self, route: &str) -> Self {
        self.routes = vec![route.to_owned()];
        self
    }

    /// Who is let in.
    pub fn access(&self) -> AccessRule {
        self.description.access
    }

    /// The method, as OpenAPI knows it; endpoints are made with no other.
    pub(super) fn openapi_method(&self) -> HttpMethod {
        match self.method.as_str() {
            "POST" => HttpMethod::Post,
            "PUT" => HttpMethod::Put,
            "DELETE" => HttpMethod::Delete,
            "PATCH" => HttpMethod::Patch,
            "OPTIONS" => HttpMethod::Options,
            "HEAD" => HttpMethod::Head,
            _ => HttpMethod::Get,
        }
    }

    /// Answers a request that was routed here.
    pub(super) fn serve(&self, shared: Arc<Shared>, request: Request<Body>) -> BoxFuture<'static, Result<Response>> {
        (self.serve)(shared, request)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// What the API document says of a handler's types.
fn types<M, H: Handler<M>>(path_name: &str, schemas: &mut Schemas) -> Types {
    Types {
        parameters: H::Params::parameters(path_name),
        request_body: H::Input::request_body(schemas),
        response: H::Answer::response(schemas),
    }
}

/// An async function of the service, of who calls, and optionally of what stands in the path and query, and in the
/// body. They are read in this order, each only when the one before was good: first who is let in, last the body.
pub trait Handler<M>: Clone + Send + Sync + 'static {
    /// Who is let in.
    type Access: Access;
    /// What is read from the path and the query.
    type Params: Params;
    /// What is read from the body.
    type Input: Input;
    /// What is answered.
    type Answer: Answer;

    /// Does it.
    fn call(
        &self,
        service: Service,
        access: Self::Access,
        params: Self::Params,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Answer>> + Send;
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

/// Tells handlers that read a body, but nothing of the path, from those that read the path only.
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
