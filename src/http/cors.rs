//! Which web pages may read answers.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Uri};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::config::CorsOrigins;

/// What adds CORS headers, if anything does.
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
            .expose_headers([HeaderName::from_static("x-request-id")])
            .max_age(Duration::from_secs(600)),
    )
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
