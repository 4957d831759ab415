//! The body of a request before it is read.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, EXPECT},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::model::{Error, ErrorKind, Result};

/// A body that may be read once.
///
/// When it is not, because its request was refused before, what its client still sends is taken in and thrown away
/// for a while. Otherwise the connection would end while the client writes, and instead of the answer that says why
/// it would see a broken connection.
pub struct Incoming {
    body: Option<Body>,
    announced: Option<u64>,
    waits_to_send: bool,
}

/// How much is thrown away at most, in bytes, and how long.
const MOST_DISCARDED: usize = 100 * 1024 * 1024;
const DISCARDING_PATIENCE: Duration = Duration::from_secs(10);

impl Incoming {
    /// The body that came with these headers.
    pub fn new(body: Body, headers: &HeaderMap) -> Self {
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self { body: Some(body), announced, waits_to_send: headers.contains_key(EXPECT) }
    }

    /// Reads at most `limit` bytes.
    ///
    /// A body that announces more is refused before a byte of it is read; one that does not announce itself, as soon
    /// as it grows past the limit. One that stalls is given up after `patience`.
    pub async fn read(mut self, limit: usize, patience: Duration) -> Result<Bytes> {
        if self.announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
            return Err(too_large(limit));
        }
        let body = self.body.get_or_insert_default();
        let reading = Limited::new(&mut *body, limit).collect();
        let read = match tokio::time::timeout(patience, reading).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large(limit)),
            Ok(Err(error)) => {
                let message = "The body did not arrive whole: send it again.";
                Err(Error::new(ErrorKind::BodyFormat, message).caused_by(error))
            }
            Err(_) => {
                let message = format!("The body did not arrive within {} seconds: send it again.", patience.as_secs());
                Err(Error::new(ErrorKind::BodyFormat, message))
            }
        };
        // Nothing is left of it, or nothing more is to be expected.
        self.body = None;
        read
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|_| !self.waits_to_send) else { return };
        if http_body::Body::is_end_stream(&body) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(DISCARDING_PATIENCE, discard(body)));
        }
    }
}

async fn discard(mut body: Body) {
    let mut left = MOST_DISCARDED;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
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
        let error = Incoming::new(never, &announcing("11")).read(10, PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    }

    #[tokio::test]
    async fn a_body_that_grows_too_large_is_refused_at_the_limit() {
        let endless = || Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b"12345"))));
        let error = Incoming::new(endless(), &HeaderMap::new()).read(10, PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
        let error = Incoming::new(endless(), &announcing("5")).read(10, PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
        assert_eq!(
            Incoming::new(Body::from("0123456789"), &announcing("10")).read(10, PATIENCE).await.unwrap().len(),
            10
        );
    }

    #[tokio::test]
    async fn a_body_that_stalls_is_given_up() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let error = Incoming::new(never, &HeaderMap::new()).read(10, Duration::ZERO).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BodyFormat);
    }
}
