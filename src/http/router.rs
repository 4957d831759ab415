//! The router: every endpoint at its paths, everything else 404.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
    routing::{self, MethodFilter, MethodRouter},
};
use futures::future::BoxFuture;
use http::{Method, Request};
use tower::ServiceExt as _;
use tower_http::cors::CorsLayer;

use super::{
    config::HttpConfig,
    cors,
    endpoint::Endpoint,
    endpoints::GROUPS,
    framing,
    hosts::Hosts,
    serve::{self, Shared},
};
use crate::{auth::Authenticator, http::access::AccessRule, model::Permission, on_demand::OnDemand, service::Service};

/// The whole HTTP side, for any server that speaks `tower::Service`: body limits, time limits, logging and CORS are
/// inside. Nothing in it knows of sockets.
#[derive(Clone, Debug)]
pub struct Router {
    routes: axum::Router,
    hosts: Hosts,
}

impl tower::Service<Request<Body>> for Router {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        tower::Service::<Request<Body>>::poll_ready(&mut self.routes, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (parts, body) = request.into_parts();
        if let Err(refused) = self.hosts.check(&parts) {
            return Box::pin(async move { Ok(serve::refusal(refused)) });
        }
        let method = parts.method.clone();
        let answer = self.routes.call(Request::from_parts(parts, body));
        Box::pin(async move { Ok(framing::fit(&method, answer.await?)) })
    }
}

/// Makes a router; see [`Router`].
pub fn router(service: Service, authenticator: Arc<Authenticator>, config: HttpConfig) -> Router {
    let (cors, hosts) = (cors::layer(&config.cors), config.hosts.clone());
    let shared = Arc::new(Shared { service, authenticator, config });
    let groups: Vec<_> = GROUPS
        .iter()
        .map(|group| {
            let (shared, cors) = (Arc::clone(&shared), cors.clone());
            (group, OnDemand::new(move || router_of((group.endpoints)(), &shared, cors)))
        })
        .collect();
    let groups: Arc<[_]> = groups.into();
    let routes = axum::Router::new().fallback(move |request: Request<Body>| {
        let covering = groups.iter().filter(|(group, _)| group.covers(request.uri().path()));
        let router = covering.max_by_key(|(group, _)| group.below.len()).map(|(_, router)| axum::Router::clone(router));
        async move {
            match router {
                Some(router) => router.oneshot(request).await.into_response(),
                None => serve::no_endpoint(request).await,
            }
        }
    });
    Router { routes, hosts }
}

fn router_of(endpoints: Vec<Endpoint>, shared: &Arc<Shared>, cors: Option<CorsLayer>) -> axum::Router {
    // Pages and API Functions settle CORS among themselves, so no layer may answer their OPTIONS.
    let (untouched, own): (Vec<_>, Vec<_>) = endpoints
        .into_iter()
        .partition(|endpoint| endpoint.access() == AccessRule::PermissionMode(Permission::ExecuteApiFunction));
    // Paths that nothing is served at are the service's own too: whether a page is let in tells nothing of them.
    let own = routes(own, shared).fallback(serve::no_endpoint);
    let own = cors.map_or(own.clone(), |cors| own.layer(cors));
    own.merge(routes(untouched, shared))
}

fn routes(endpoints: Vec<Endpoint>, shared: &Arc<Shared>) -> axum::Router {
    let mut router = axum::Router::new();
    for endpoint in endpoints {
        let endpoint = Arc::new(endpoint);
        for path in &endpoint.routes {
            router = router.route(path, route(&endpoint, shared));
        }
    }
    // Before any layer is put around it: a page's OPTIONS is not an unknown method to the layer that answers it.
    router.method_not_allowed_fallback(serve::no_endpoint)
}

fn route(endpoint: &Arc<Endpoint>, shared: &Arc<Shared>) -> MethodRouter {
    let (endpoint, shared) = (endpoint.clone(), shared.clone());
    let method = filter(&endpoint.method);
    routing::on(method, move |request: Request<Body>| async move { serve::answer(shared, &endpoint, request).await })
}

/// Endpoints are made with these methods only; `GET` takes `HEAD` too where that has no endpoint of its own.
fn filter(method: &Method) -> MethodFilter {
    match method.as_str() {
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "DELETE" => MethodFilter::DELETE,
        "PATCH" => MethodFilter::PATCH,
        "OPTIONS" => MethodFilter::OPTIONS,
        "HEAD" => MethodFilter::HEAD,
        _ => MethodFilter::GET,
    }
}
