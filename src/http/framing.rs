//! Which responses have a body, and the length that they announce (RFC 9110 §8.6, §15.3.5, §15.4.5).

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;

use super::answer::AnnouncedLength;

/// Sets the length of a response where it may have one, and drops the body where there must be none.
pub fn fit(method: &Method, mut response: Response) -> Response {
    let announced = response.extensions_mut().remove::<AnnouncedLength>();
    let status = response.status();
    let is_head = *method == Method::HEAD;
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED, StatusCode::RESET_CONTENT].contains(&status);
    let length = match response.body().size_hint().exact() {
        // Without this, a client would wait forever for the body of a 205.
        _ if status == StatusCode::RESET_CONTENT => Some(0),
        _ if bodiless => None,
        // Only the Function knows the length of its answer to a GET, if it says so.
        Some(0) if is_head => announced.map(|AnnouncedLength(length)| length),
        length => length,
    };
    // The type is written out for the check of the handlers' roles, which would take an untyped `remove` for any method
    // of that name.
    let headers: &mut HeaderMap = response.headers_mut();
    match length {
        Some(length) => headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length)),
        None => headers.remove(header::CONTENT_LENGTH),
    };
    if bodiless || is_head {
        *response.body_mut() = Body::empty();
    }
    response
}
