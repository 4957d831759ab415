//! The router: every endpoint at its paths, everything else 404.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    response::IntoResponse as _,
    routing::{self, MethodFilter, MethodRouter},
};
use http::{Method, Request};
use tower::ServiceExt as _;
use tower_http::cors::CorsLayer;

use super::{
    config::HttpConfig,
    cors,
    endpoint::Endpoint,
    endpoints::GROUPS,
    serve::{self, Shared},
};
use crate::{auth::Authenticator, http::access::AccessRule, model::Permission, on_demand::OnDemand, service::Service};

/// The whole HTTP side, for any server that speaks `tower::Service`: body limits, time limits, logging and CORS are
/// inside. Nothing in it knows of sockets.
pub fn router(service: Service, authenticator: Arc<Authenticator>, config: HttpConfig) -> Router {
    let cors = cors::layer(&config.cors);
    let shared = Arc::new(Shared { service, authenticator, config });
    let groups: Vec<_> = GROUPS
        .iter()
        .map(|group| {
            let (shared, cors) = (Arc::clone(&shared), cors.clone());
            (group, OnDemand::new(move || router_of((group.endpoints)(), &shared, cors)))
        })
        .collect();
    let groups: Arc<[_]> = groups.into();
    Router::new().fallback(move |request: Request<Body>| {
        let covering = groups.iter().filter(|(group, _)| group.covers(request.uri().path()));
        let router = covering.max_by_key(|(group, _)| group.below.len()).map(|(_, router)| Router::clone(router));
        async move {
            match router {
                Some(router) => router.oneshot(request).await.into_response(),
                None => serve::no_endpoint(request).await,
            }
        }
    })
}

fn router_of(endpoints: Vec<Endpoint>, shared: &Arc<Shared>, cors: Option<CorsLayer>) -> Router {
    // Pages and API Functions settle CORS among themselves, so no layer may answer their OPTIONS.
    let (untouched, own): (Vec<_>, Vec<_>) = endpoints
        .into_iter()
        .partition(|endpoint| endpoint.access() == AccessRule::PermissionMode(Permission::ExecuteApiFunction));
    let own = routes(own, shared);
    let own = cors.map_or(own.clone(), |cors| own.layer(cors));
    own.merge(routes(untouched, shared)).fallback(serve::no_endpoint)
}

fn routes(endpoints: Vec<Endpoint>, shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
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
