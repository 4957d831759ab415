//! The nonces of signed requests: each counts once.

use crate::{
    model::Timestamp,
    ports::{PortError, PortFuture},
};

/// A signed request that arrived. Only requests whose signature was good are worth remembering.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// Who signed it.
    pub consumer_key: &'a str,
    /// The nonce.
    pub nonce: &'a str,
    /// The time stamp that it came with, in seconds since 1970.
    pub timestamp: i64,
    /// From when on its time stamp is out of the window, so that it need not be remembered any longer.
    pub expires: Timestamp,
}

/// Remembers which requests arrived, for all instances and across restarts: it must decide atomically.
pub trait NonceMemory: Send + Sync {
    /// Remembers a request until it expires. `false`: it was seen before.
    fn remember<'a>(&'a self, sighting: Sighting<'a>) -> PortFuture<'a, Result<bool, PortError>>;
}

/// How far a request's time stamp may lie from our clock, in seconds.
pub(super) const WINDOW_SECS: i64 = 300;
