//! Which answers have a body, and what is said of its length (RFC 9110 §8.6, §15.3.5, §15.4.5).

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;

use super::answer::AnnouncedLength;

/// Has an answer say no length where it may not, and no wrong one for a body that is not sent.
pub fn fit(method: &Method, mut response: Response) -> Response {
    let announced = response.extensions_mut().remove::<AnnouncedLength>();
    let status = response.status();
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED, StatusCode::RESET_CONTENT].contains(&status);
    if bodiless {
        let headers: &mut HeaderMap = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        // A 205 is one that says so: a client would wait for a body without an end otherwise.
        if status == StatusCode::RESET_CONTENT {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if !response.body().is_end_stream() {
            *response.body_mut() = Body::empty();
        }
    } else if *method == Method::HEAD
        && response.headers().get(header::CONTENT_LENGTH).is_some_and(|length| length == "0")
    {
        // What GET would be answered with is known to the Function only, if at all.
        let headers: &mut HeaderMap = response.headers_mut();
        match announced {
            Some(AnnouncedLength(length)) => headers.insert(header::CONTENT_LENGTH, length.into()),
            None => headers.remove(header::CONTENT_LENGTH),
        };
    }
    response
}
