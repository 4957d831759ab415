//! The nonces of signed requests: each counts once.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

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

/// Remembers which requests arrived. One that several instances share must decide atomically.
pub trait NonceMemory: Send + Sync {
    /// Remembers a request until it expires. `false`: it was seen before.
    fn remember<'a>(&'a self, sighting: Sighting<'a>) -> PortFuture<'a, Result<bool, PortError>>;
}

/// How far a request's time stamp may lie from our clock, in seconds.
pub(super) const WINDOW_SECS: i64 = 300;

/// How many requests [`MemoryNonces`] remembers: those of ten minutes at a thousand a second.
const CAPACITY: usize = 600_000;

/// The memory of one process. It is bounded: when it is full, the oldest time stamps are forgotten, and from then on
/// ones as old as those are refused, so that forgetting never lets a replay in.
///
/// A restart forgets everything: a request recorded in the minutes before could be sent once more after it. Where
/// that matters, and where there are several instances, the store remembers.
pub struct MemoryNonces {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By time stamp, a digest of each request.
    seen: BTreeSet<(i64, [u8; 16])>,
    /// Requests up to this time stamp have been forgotten.
    forgotten: Option<i64>,
}

impl Default for MemoryNonces {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl MemoryNonces {
    fn with_capacity(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default() }
    }
}

impl State {
    fn remember(&mut self, sighting: Sighting<'_>, capacity: usize) -> bool {
        if self.forgotten.is_some_and(|forgotten| sighting.timestamp <= forgotten) {
            return false;
        }
        if !self.seen.insert((sighting.timestamp, digest(sighting))) {
            return false;
        }
        // Our clock is at most a window behind this time stamp, so what lies two windows behind it is out already.
        let expired = sighting.timestamp.saturating_sub(2 * WINDOW_SECS);
        while self.seen.first().is_some_and(|(timestamp, _)| *timestamp < expired) {
            self.seen.pop_first();
        }
        while self.seen.len() > capacity {
            self.forgotten = self.seen.pop_first().map(|(timestamp, _)| timestamp).max(self.forgotten);
        }
        true
    }
}

impl NonceMemory for MemoryNonces {
    fn remember<'a>(&'a self, sighting: Sighting<'a>) -> PortFuture<'a, Result<bool, PortError>> {
        Box::pin(async move {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(state.remember(sighting, self.capacity))
        })
    }
}

fn digest(sighting: Sighting<'_>) -> [u8; 16] {
    let length = u64::try_from(sighting.consumer_key.len()).unwrap_or(u64::MAX);
    let full: [u8; 32] = Sha256::new()
        .chain_update(length.to_be_bytes())
        .chain_update(sighting.consumer_key)
        .chain_update(sighting.nonce)
        .finalize()
        .into();
    let mut short = [0; 16];
    short.copy_from_slice(&full[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn remember(nonces: &MemoryNonces, consumer_key: &str, nonce: &str, timestamp: i64) -> bool {
        let expires = Timestamp::saturating_from_millis((timestamp + WINDOW_SECS) * 1000);
        nonces.remember(Sighting { consumer_key, nonce, timestamp, expires }).await.unwrap()
    }

    #[tokio::test]
    async fn the_same_request_counts_once() {
        let nonces = MemoryNonces::default();
        assert!(remember(&nonces, "key", "nonce", 1000).await);
        assert!(!remember(&nonces, "key", "nonce", 1000).await);
        for (key, nonce, timestamp) in [("key", "other", 1000), ("key", "nonce", 1001), ("keyn", "once", 1000)] {
            assert!(remember(&nonces, key, nonce, timestamp).await, "{key} {nonce} {timestamp}");
        }
    }

    #[tokio::test]
    async fn what_had_to_be_forgotten_is_refused_and_not_let_in_again() {
        let nonces = MemoryNonces::with_capacity(3);
        for timestamp in [1000, 1001, 1002, 1003] {
            assert!(remember(&nonces, "key", "nonce", timestamp).await);
        }
        assert!(!remember(&nonces, "key", "nonce", 1000).await);
        assert!(!remember(&nonces, "key", "new", 1000).await, "as old as what was forgotten");
        assert!(remember(&nonces, "key", "new", 1001).await);
    }

    #[tokio::test]
    async fn what_is_out_of_its_window_takes_no_room() {
        let nonces = MemoryNonces::default();
        remember(&nonces, "key", "nonce", 1000).await;
        remember(&nonces, "key", "nonce", 1000 + 2 * WINDOW_SECS).await;
        assert_eq!(nonces.state.lock().unwrap().seen.len(), 2);
        remember(&nonces, "key", "nonce", 1001 + 2 * WINDOW_SECS).await;
        assert_eq!(nonces.state.lock().unwrap().seen.len(), 2);
    }
}
