//! The router: finds the endpoint for a request, and answers 404 where there is none.
//!
//! axum's own router is not used: its tables cost more at a handler's start, and per request, than comparing a path
//! with the few endpoints of one group, and the matched value and the CORS rule of a path are needed here anyway.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{body::Body, response::Response};
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, StatusCode, header};
use tasklane_auth::Authenticator;
use tasklane_runtime::on_demand::OnDemand;
use tasklane_service::Service;
use tokio_util::task::TaskTracker;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::CorsLayer;

use super::{
    about,
    config::{Answered, HttpConfig, OnAnswer},
    cors,
    endpoint::{Endpoint, PathValues},
    endpoints::Group,
    framing,
    handler::Shared,
    serve,
};

/// The whole HTTP side, for any server that speaks `tower::Service`: size limits, time limits, logging and CORS are
/// included. It knows nothing of sockets.
#[derive(Clone)]
pub struct Router(Arc<Routes>);

struct Routes {
    groups: Vec<(&'static Group, OnDemand<Vec<Endpoint>>)>,
    cors: Option<CorsLayer>,
    shared: Arc<Shared>,
}

/// Makes a [`Router`]. It keeps track of the requests in progress in `in_flight`; to stop the process, close that and
/// wait for it.
pub fn router(
    service: Service,
    authenticator: Arc<Authenticator>,
    config: HttpConfig,
    in_flight: TaskTracker,
) -> Router {
    let groups = about::groups().map(|group| (group, OnDemand::new(group.endpoints))).collect();
    let cors = cors::layer(&config.cors);
    let shared = Arc::new(Shared { service, authenticator, config, in_flight });
    Router(Arc::new(Routes { groups, cors, shared }))
}

impl tower::Service<Request<Body>> for Router {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let routes = Arc::clone(&self.0);
        Box::pin(async move {
            let method = request.method().clone();
            let watched = routes.shared.config.on_answer.map(|watch| {
                let user_agent = request.headers().get(header::USER_AGENT).cloned();
                (watch, request.uri().clone(), user_agent, now())
            });
            let response = framing::fit(&method, routes.answer(request).await);
            if let Some((OnAnswer(watch), uri, user_agent, started)) = watched {
                let (path, status) = (uri.path(), response.status());
                let (user_agent, took) = (user_agent.as_ref(), started.elapsed());
                watch(&Answered { method: &method, path, user_agent, status, took });
            }
            Ok(response)
        })
    }
}

impl Routes {
    async fn answer(&self, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        if let Err(refused) = self.shared.config.hosts.check(&parts) {
            return serve::refusal(refused);
        }
        let route = self.find(&parts.method, parts.uri.path());
        let request = Request::from_parts(parts, body);
        match &self.cors {
            // API Functions answer their own preflights. A path without an endpoint gets the same headers as the
            // others, so that a page learns nothing from them.
            Some(cors) if !route.is_api_function => {
                let answer = service_fn(|request| async { Ok::<_, Infallible>(self.follow(&route, request).await) });
                match cors.layer(answer).oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            _ => self.follow(&route, request).await,
        }
    }

    fn find(&self, method: &Method, path: &str) -> Route<'_> {
        let mut route = Route::default();
        for endpoint in self.group(path) {
            let Some((first, second)) = endpoint.match_path(path) else { continue };
            route.is_api_function = endpoint.is_api_function();
            // `GET` also serves `HEAD`, unless that has an endpoint of its own.
            let serves_head = endpoint.method == Method::GET && *method == Method::HEAD && route.endpoint.is_none();
            if endpoint.method == *method || serves_head {
                let values = PathValues { first: first.to_owned(), second: second.to_owned() };
                route.endpoint = Some((endpoint, values));
            }
        }
        route
    }

    /// The endpoints of the group with the longest prefix of the path.
    fn group(&self, path: &str) -> &[Endpoint] {
        let covering = self.groups.iter().filter(|(group, _)| group.covers(path));
        covering.max_by_key(|(group, _)| group.below.len()).map_or(&[], |(_, endpoints)| endpoints)
    }

    async fn follow(&self, route: &Route<'_>, request: Request<Body>) -> Response {
        if let Some((endpoint, path_values)) = &route.endpoint {
            return serve::answer(Arc::clone(&self.shared), endpoint, request, path_values.clone()).await;
        }
        if is_for_people(&request) {
            return to_docs();
        }
        let allow = self.allow(request.uri().path());
        let mut response = serve::no_endpoint(request).await;
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }

    /// The methods of the endpoints at the path, if any.
    fn allow(&self, path: &str) -> Option<HeaderValue> {
        let here = self.group(path).iter().filter(|endpoint| endpoint.match_path(path).is_some());
        let mut methods: Vec<_> = here.map(|endpoint| endpoint.method.as_str()).collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        HeaderValue::try_from(methods.join(",")).ok().filter(|_| !methods.is_empty())
    }
}

/// Whether a browser asks for the root, which is the URL that a person knows.
fn is_for_people(request: &Request<Body>) -> bool {
    let accepts_html = |accept: &HeaderValue| accept.to_str().is_ok_and(|accept| accept.contains("text/html"));
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    is_read && request.uri().path() == "/" && request.headers().get(header::ACCEPT).is_some_and(accepts_html)
}

/// To the page of the API. The path is relative, because a gateway may have put something in front of it.
fn to_docs() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("docs"));
    response
}

// Only for the log of the calls.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

/// The endpoint that a path leads to.
#[derive(Default)]
struct Route<'a> {
    /// The endpoint for the request's method, with the values of its `{…}`; `None` if there is none.
    endpoint: Option<(&'a Endpoint, PathValues)>,
    is_api_function: bool,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}
