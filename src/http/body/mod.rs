//! Request bodies: how many bytes are taken, how long they may take, and what is read out of them.

mod fields;
mod values;

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_LENGTH};
use http_body_util::{BodyExt, LengthLimitError, Limited};

pub use fields::Fields;
pub use values::{Code, Description};

use crate::model::{Error, ErrorKind, Result};

/// Reads a body of at most `limit` bytes.
///
/// One that announces more is refused before a byte of it is read; one that does not announce itself, as soon as it
/// grows past the limit. One that stalls is given up after `patience`.
pub async fn read(body: Body, headers: &HeaderMap, limit: usize, patience: Duration) -> Result<Bytes> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(too_large(limit));
    }
    let reading = Limited::new(body, limit).collect();
    match tokio::time::timeout(patience, reading).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Ok(Err(error)) => {
            Err(Error::new(ErrorKind::BodyFormat, "The body did not arrive whole: send it again.").caused_by(error))
        }
        Err(_) => {
            let message = format!("The body did not arrive within {} seconds: send it again.", patience.as_secs());
            Err(Error::new(ErrorKind::BodyFormat, message))
        }
    }
}

fn too_large(limit: usize) -> Error {
    let message = format!("The body is larger than the {limit} bytes that this endpoint takes.");
    Error::new(ErrorKind::PayloadTooLarge, message)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http::HeaderValue;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn announcing(length: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static(length))])
    }

    #[tokio::test]
    async fn a_body_that_announces_too_much_is_refused_unread() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let error = read(never, &announcing("11"), 10, PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    }

    #[tokio::test]
    async fn a_body_that_grows_too_large_is_refused_at_the_limit() {
        let endless = || Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b"12345"))));
        let error = read(endless(), &HeaderMap::new(), 10, PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
        let error = read(endless(), &announcing("5"), 10, PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
        assert_eq!(read(Body::from("0123456789"), &announcing("10"), 10, PATIENCE).await.unwrap().len(), 10);
    }

    #[tokio::test]
    async fn a_body_that_stalls_is_given_up() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let error = read(never, &HeaderMap::new(), 10, Duration::ZERO).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BodyFormat);
    }
}
