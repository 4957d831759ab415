//! The body of a request that has not been read yet.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, EXPECT},
};
use http_body_util::BodyExt;
use tasklane_model::{ByteSize, Error, ErrorKind, Result, with_causes};
use tasklane_ports::ByteStream;

use super::budget::Account;

/// A body that can be read once.
///
/// If it is dropped unread, because its request was refused, the rest of it is received and discarded for a while.
/// Otherwise the connection would end while the client is still sending, and the client would see a broken connection
/// instead of the response.
pub struct Incoming {
    body: Option<Body>,
    /// The whole body, if it has been read.
    whole: Option<Bytes>,
    announced: Option<u64>,
    waits_to_send: bool,
}

/// How many bytes are discarded at most, and for how long.
const MOST_DISCARDED: usize = 100 * 1024 * 1024;
const DISCARDING_PATIENCE: Duration = Duration::from_secs(10);

impl Incoming {
    /// The body of a request with these headers.
    pub fn new(body: Body, headers: &HeaderMap) -> Self {
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self { body: Some(body), whole: None, announced, waits_to_send: headers.contains_key(EXPECT) }
    }

    /// Reads at most `limit` bytes, which stay charged to `account` as long as they are held.
    ///
    /// A body that announces more is refused before any of it is read, and one that announces no length as soon as it
    /// exceeds the limit. A body that stalls is given up after `patience`.
    pub async fn read(mut self, limit: usize, patience: Duration, account: Account) -> Result<Bytes> {
        self.read_ahead(limit, patience, account).await
    }

    /// The same, but the body can be read again later. Authentication uses this: it needs the body of a signed form
    /// before the handler does.
    pub async fn read_ahead(&mut self, limit: usize, patience: Duration, account: Account) -> Result<Bytes> {
        if let Some(whole) = self.whole.clone().filter(|whole| whole.len() <= limit) {
            return Ok(whole);
        }
        if self.announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
            return Err(too_large(limit));
        }
        let Some(body) = &mut self.body else { return Ok(Bytes::new()) };
        let read = match tokio::time::timeout(patience, gather(body, limit, account)).await {
            Ok(Ok(whole)) => Ok(whole),
            Ok(Err(Trouble::Refused(error))) => return Err(error),
            Ok(Err(Trouble::Broken(error))) => {
                let message = "The body did not arrive completely: send it again.";
                Err(Error::new(ErrorKind::BodyFormat, message).caused_by(error))
            }
            Err(_) => {
                let message = format!("The body did not arrive within {} seconds: send it again.", patience.as_secs());
                Err(Error::new(ErrorKind::BodyFormat, message))
            }
        };
        // Either the body was read to its end, or the rest will not arrive.
        self.body = None;
        self.whole = read.as_ref().ok().cloned();
        read
    }
}

impl Incoming {
    /// The body as it arrives. Each part of it may take `patience`.
    pub fn into_stream(mut self, patience: Duration) -> ByteStream {
        let body = self.body.take().unwrap_or_default();
        let next = move |mut body: Body| async move {
            loop {
                let frame = match tokio::time::timeout(patience, body.frame()).await {
                    Ok(None) => return None,
                    Ok(Some(Ok(frame))) => frame,
                    Ok(Some(Err(error))) => return Some((Err(with_causes(&error)), Body::empty())),
                    Err(_) => {
                        let why = format!("nothing arrived within {} seconds", patience.as_secs());
                        return Some((Err(why), Body::empty()));
                    }
                };
                if let Ok(data) = frame.into_data() {
                    return Some((Ok(data), body));
                }
            }
        };
        stream::unfold(body, next).boxed()
    }
}

/// Why a body was not read to its end.
enum Trouble {
    /// It exceeds a limit; the rest of it may still arrive.
    Refused(Error),
    /// The rest of it will not arrive.
    Broken(axum::Error),
}

/// Bytes, and the account that they are charged to.
struct Held {
    bytes: Bytes,
    _account: Account,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

async fn gather(body: &mut Body, limit: usize, mut account: Account) -> Result<Bytes, Trouble> {
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Trouble::Broken)?.into_data() else { continue };
        let length = first.len() + whole.len();
        if data.len() > limit - length {
            return Err(Trouble::Refused(too_large(limit)));
        }
        account.charge(data.len()).map_err(Trouble::Refused)?;
        if length == 0 {
            // Most bodies arrive in one piece, which needs no copy.
            first = data;
            continue;
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&data);
    }
    let bytes = if whole.is_empty() { first } else { whole.freeze() };
    if bytes.is_empty() { Ok(bytes) } else { Ok(Bytes::from_owner(Held { bytes, _account: account })) }
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
    let message = format!("The body is larger than the {} that this endpoint accepts.", ByteSize(limit as u64));
    Error::new(ErrorKind::PayloadTooLarge, message)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http::HeaderValue;

    use super::*;
    use crate::body::BodyBudget;

    fn account() -> Account {
        BodyBudget::new(1000, 1000).account(true)
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    fn announcing(length: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static(length))])
    }

    #[tokio::test]
    async fn a_body_that_announces_too_much_is_refused_unread() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let error = Incoming::new(never, &announcing("11")).read(10, PATIENCE, account()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    }

    #[tokio::test]
    async fn a_body_that_grows_too_large_is_refused_at_the_limit() {
        let endless = || Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b"12345"))));
        let error = Incoming::new(endless(), &HeaderMap::new()).read(10, PATIENCE, account()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
        let error = Incoming::new(endless(), &announcing("5")).read(10, PATIENCE, account()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
        assert_eq!(
            Incoming::new(Body::from("0123456789"), &announcing("10"))
                .read(10, PATIENCE, account())
                .await
                .unwrap()
                .len(),
            10
        );
    }

    #[tokio::test]
    async fn reading_a_stalled_body_ends_after_a_while() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let error = Incoming::new(never, &HeaderMap::new()).read(10, Duration::ZERO, account()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BodyFormat);
    }

    #[tokio::test]
    async fn a_body_is_charged_while_any_part_of_it_is_held() {
        let budget = BodyBudget::new(10, 10);
        let pieces = |pieces: &'static [&'static str]| {
            Body::from_stream(stream::iter(
                pieces.iter().map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes()))),
            ))
        };
        let read = |body: Body| Incoming::new(body, &HeaderMap::new()).read(100, PATIENCE, budget.account(true));
        let whole = read(pieces(&["abc", "def", "", "gh"])).await.unwrap();
        assert_eq!(whole, "abcdefgh");
        let error = read(pieces(&["123"])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooManyRequests);
        let part = whole.slice(..1);
        drop(whole);
        assert!(read(pieces(&["123"])).await.is_err());
        drop(part);
        assert_eq!(read(pieces(&["123", "4567890"])).await.unwrap(), "1234567890");
    }
}
