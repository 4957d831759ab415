//! How an issuer's documents are fetched.

use bytes::Bytes;
use tasklane_ports::{PortError, PortFuture};

/// Fetches the documents that an issuer publishes.
pub trait IssuerDocuments: Send + Sync {
    /// The document at this URL. A document that is too large or too late, a redirect, and any status but 200 are errors.
    fn fetch<'a>(&'a self, url: &'a str) -> PortFuture<'a, Result<Bytes, PortError>>;
}
