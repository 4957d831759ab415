//! The nonces of signed requests: each can be used once.

use tasklane_model::Timestamp;
use tasklane_ports::{PortError, PortFuture};

/// A signed request that arrived. Only requests with a valid signature are remembered.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// The signer.
    pub consumer_key: &'a str,
    pub nonce: &'a str,
    /// The request's time stamp, in seconds since 1970.
    pub timestamp: i64,
    /// When its time stamp leaves the window, so that it can be forgotten.
    pub expires: Timestamp,
}

/// Remembers which requests arrived, for all instances and across restarts. Must decide atomically.
pub trait NonceMemory: Send + Sync {
    /// Remembers a request until it expires. Returns `false` if it was seen before.
    fn remember<'a>(&'a self, sighting: Sighting<'a>) -> PortFuture<'a, Result<bool, PortError>>;
}

/// The largest difference between a request's time stamp and our clock, in seconds.
pub(super) const WINDOW_SECS: i64 = 300;
