//! The bodies of a process's requests.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tasklane_model::FunctionError;

use super::super::limits::MAX_RESPONSE_BYTES;

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// How long a body that belongs to no run may take to arrive.
pub(super) const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// A body that was read to its end.
pub(super) struct Content {
    /// `None` if the body was too large.
    pub(super) bytes: Option<Bytes>,
    /// The error that a streamed response reports in its trailers if it breaks off.
    pub(super) failure: Option<FunctionError>,
}

pub(super) async fn read(mut body: Incoming) -> Result<Content, hyper::Error> {
    let mut bytes = BytesMut::new();
    let mut fits = true;
    let mut failure = None;
    while let Some(frame) = body.frame().await.transpose()? {
        match frame.into_data() {
            // A body that is too large is read to its end: a client that is still writing would not read the response.
            Ok(data) if bytes.len() + data.len() > MAX_RESPONSE_BYTES => {
                fits = false;
                bytes = BytesMut::new();
            }
            Ok(data) if fits => bytes.extend_from_slice(&data),
            Ok(_) => {}
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers()
                    && trailers.contains_key(ERROR_TYPE)
                {
                    let body = trailers.get(ERROR_BODY).and_then(|body| BASE64_STANDARD.decode(body).ok());
                    failure = Some(reported(&trailers, &body.unwrap_or_default()));
                }
            }
        }
    }
    Ok(Content { bytes: fits.then(|| bytes.freeze()), failure })
}

/// Reads a body to its end and discards it: a client that is still writing would not read the response.
pub(super) async fn skip(mut body: Incoming) {
    let skipping = async {
        let mut left = MAX_RESPONSE_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(still) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
            left = still;
        }
    };
    // The response is the same in either case.
    let _ = tokio::time::timeout(BODY_PATIENCE, skipping).await;
}

/// An error as runtimes report it: JSON with a name and a message, or else only a name in a header.
pub(super) fn reported(headers: &HeaderMap, body: &[u8]) -> FunctionError {
    let mut error = FunctionError::read(body);
    if error.name.is_empty() {
        let in_header = headers.get(ERROR_TYPE).and_then(|value| value.to_str().ok());
        in_header.unwrap_or("Runtime.Unknown").clone_into(&mut error.name);
    }
    error
}
