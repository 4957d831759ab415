//! Telling our own writes from others' when an answer was lost.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sha2::{Digest, Sha256};

/// Marks for writes: unlike any other, of this process or another.
///
/// When the answer to a write is lost, the SDK sends the write again, and its condition is no longer met: by the mark
/// in the row we see that it was we who wrote it.
#[derive(Clone)]
pub(super) struct CallTokens {
    process: Arc<str>,
    calls: Arc<AtomicU64>,
}

impl CallTokens {
    pub(super) fn new(process: [u8; 8]) -> Self {
        Self { process: hex::encode(process).into(), calls: Arc::default() }
    }

    pub(super) fn next(&self) -> String {
        format!("{}.{}", self.process, self.calls.fetch_add(1, Ordering::Relaxed))
    }
}

/// The client request token of a transaction (at most 36 characters) that is about these things: the same things, the
/// same transaction.
pub(super) fn transaction_token(about: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in about {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..18])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_about_different_things_have_different_tokens_that_dynamodb_takes() {
        assert_eq!(transaction_token(&["a", "b"]), transaction_token(&["a", "b"]));
        assert_ne!(transaction_token(&["a", "b"]), transaction_token(&["ab"]));
        assert_eq!(transaction_token(&[]).len(), 36);
    }
}
