//! CORS: which web pages may read responses.

use std::time::Duration;

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::{config::CorsOrigins, once::IDEMPOTENT_REPLAYED};

/// The layer that adds CORS headers and answers preflights; `None` where no page may read a response.
pub fn layer(origins: &CorsOrigins) -> Option<CorsLayer> {
    let origin = match origins {
        CorsOrigins::None => return None,
        CorsOrigins::Localhost => AllowOrigin::predicate(|origin, _| is_local(origin)),
        CorsOrigins::Listed(origins) => {
            AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
        }
        CorsOrigins::Any => AllowOrigin::any(),
    };
    Some(
        CorsLayer::new()
            .allow_origin(origin)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers([HeaderName::from_static("x-request-id"), IDEMPOTENT_REPLAYED])
            .max_age(Duration::from_secs(600)),
    )
}

/// Whether this is a preflight. Browsers send it without the credential of the request that will follow, so it must be
/// answered without one.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && !headers.contains_key(header::AUTHORIZATION)
}

/// The response to a preflight for an API Function that needs a credential. It is the same whether the Function exists
/// or not. Every page may send its request: the Function's own headers decide what the page may read of the response,
/// and nothing that a browser adds by itself (such as a cookie) gives access.
pub fn allow_any_request(headers: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let methods = HeaderValue::from_static("GET,POST,PUT,DELETE,PATCH,HEAD");
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    let varies = "origin, access-control-request-method, access-control-request-headers";
    answer.insert(header::VARY, HeaderValue::from_static(varies));
    response
}

fn is_local(origin: &HeaderValue) -> bool {
    let uri = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let Some(host) = uri.as_ref().and_then(Uri::host) else { return false };
    ["localhost", "127.0.0.1", "[::1]"].contains(&host) || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_pages_are_those_of_this_machine() {
        let local = |origin: &'static str| is_local(&HeaderValue::from_static(origin));
        for origin in ["http://localhost:3000", "https://localhost", "http://127.0.0.1:5173", "http://[::1]:80"] {
            assert!(local(origin), "{origin}");
        }
        for origin in ["null", "http://localhost.example.com", "https://example.com", "http://notlocalhost", ""] {
            assert!(!local(origin), "{origin}");
        }
    }
}
