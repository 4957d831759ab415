//! Where code is sent ahead of the Function that it is for.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::stream::BoxStream;
use tasklane_model::Upload;

use super::{PortError, PortFuture};

/// The bytes of a body as they arrive. An error says that the rest will not.
pub type ByteStream = BoxStream<'static, Result<Bytes, String>>;

/// Where code is sent ahead of the Function that it is for. The Lambda port finds it there.
pub trait Uploads: Send + Sync {
    /// Where the zip is to be sent.
    fn target<'a>(&'a self, upload: &'a Upload) -> PortFuture<'a, Result<UploadTarget, PortError>>;

    /// Whether the zip has arrived.
    fn has_arrived<'a>(&'a self, upload: &'a Upload) -> PortFuture<'a, Result<bool, PortError>>;

    /// Receives the zip, where [`Uploads::target`] is [`UploadTarget::Service`]. Nothing is kept of a zip that is not as
    /// announced.
    fn receive<'a>(&'a self, upload: &'a Upload, body: ByteStream) -> PortFuture<'a, Result<(), ReceiveError>>;
}

/// Where a zip is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadTarget {
    /// To this service.
    Service,
    /// To another one: everybody who has the URL may PUT these bytes there.
    Elsewhere {
        /// The signed URL.
        url: String,
        /// Headers that the signature covers.
        headers: BTreeMap<String, String>,
    },
}

/// A zip was not received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The bytes are not those that were announced (1401).
    #[error("{0}")]
    WrongBytes(String),
    /// The body broke off.
    #[error("{0}")]
    Incomplete(String),
    /// Too many are being received (1505).
    #[error("too many uploads are in progress")]
    Busy,
    /// They are sent elsewhere.
    #[error("uploads are not sent to this service")]
    Elsewhere,
    /// The port failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// For processes that receive no code.
#[derive(Clone, Copy, Debug)]
pub struct NoUploads;

impl Uploads for NoUploads {
    fn target<'a>(&'a self, _: &'a Upload) -> PortFuture<'a, Result<UploadTarget, PortError>> {
        Box::pin(async { Err(PortError::new("find a place for an upload", "this process receives no code")) })
    }

    fn has_arrived<'a>(&'a self, _: &'a Upload) -> PortFuture<'a, Result<bool, PortError>> {
        Box::pin(async { Ok(false) })
    }

    fn receive<'a>(&'a self, _: &'a Upload, _: ByteStream) -> PortFuture<'a, Result<(), ReceiveError>> {
        Box::pin(async { Err(ReceiveError::Elsewhere) })
    }
}
