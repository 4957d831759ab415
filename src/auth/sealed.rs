//! Encrypted secrets.

use std::fmt;

use tasklane_ports::{PortError, PortFuture};

/// A secret that only its [`SecretBox`] can open.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Seals secrets, and opens them again.
///
/// `context` names the secret and its owner (`consumer-secret/<key>`). It is bound to the sealed bytes, so that they
/// cannot be moved to another record and opened there.
pub trait SecretBox: Send + Sync {
    fn seal<'a>(&'a self, secret: &'a [u8], context: &'a str) -> PortFuture<'a, Result<Sealed, PortError>>;
    /// Opens a secret that was sealed in the same context.
    fn open<'a>(&'a self, sealed: &'a Sealed, context: &'a str) -> PortFuture<'a, Result<Vec<u8>, PortError>>;
}
