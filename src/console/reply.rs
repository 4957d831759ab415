//! What the browser gets.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures::{
    StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;

/// The body of a response.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A response.
pub(crate) enum Reply {
    /// A page.
    Page(StatusCode, String),
    /// A page whose rest comes later.
    Slow { beginning: String, rest: BoxFuture<'static, String> },
    /// Go there.
    Go(String),
    /// A file of the console's own. It never changes under its name.
    File { kind: &'static str, bytes: &'static [u8] },
    /// Server-sent events.
    Events(BoxStream<'static, Bytes>),
    /// Let in: a page that goes on by itself, and a cookie.
    Welcome { cookie: String, page: String },
}

/// What every response says: nothing inline, nothing from elsewhere, in no frame, and nothing is told to other sites.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// From how many bytes on it is worth compressing.
const WORTH_IT: usize = 600;

impl Reply {
    /// The response to a request with these headers.
    pub(crate) fn into_response(self, asked: &HeaderMap) -> Response<Body> {
        let mut response = match self {
            Self::Page(status, page) => text(status, "text/html; charset=utf-8", page.into(), asked),
            Self::Slow { beginning, rest } => {
                let parts = stream::once(async { beginning }).chain(stream::once(rest));
                let frames = parts.map(|part| Ok(Frame::data(Bytes::from(part))));
                let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
                response
            }
            Self::Go(to) => {
                let mut response = text(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Bytes::new(), asked);
                // Only paths of our own, whose parts are encoded.
                let to = HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static(crate::door::ROOT));
                response.headers_mut().insert(header::LOCATION, to);
                response
            }
            Self::File { kind, bytes } => {
                let mut response = text(StatusCode::OK, kind, Bytes::from_static(bytes), asked);
                let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
                response.headers_mut().insert(header::CACHE_CONTROL, forever);
                response
            }
            Self::Events(events) => {
                let frames = events.map(|bytes| Ok(Frame::data(bytes)));
                let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
                response
            }
            Self::Welcome { cookie, page } => {
                let mut response = text(StatusCode::OK, "text/html; charset=utf-8", page.into(), asked);
                if let Ok(cookie) = HeaderValue::try_from(cookie) {
                    response.headers_mut().insert(header::SET_COOKIE, cookie);
                }
                response
            }
        };
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "same-origin"),
            (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }
}

fn text(status: StatusCode, kind: &'static str, bytes: Bytes, asked: &HeaderMap) -> Response<Body> {
    let packed = (bytes.len() >= WORTH_IT && accepts_gzip(asked)).then(|| gzip(&bytes)).flatten();
    let is_packed = packed.is_some();
    let body = Full::new(packed.unwrap_or(bytes)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn accepts_gzip(asked: &HeaderMap) -> bool {
    let values = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| coding.trim() == "gzip")
}

fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(5));
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}
