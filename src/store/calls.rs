//! Recognizes our own writes if their responses were lost.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tasklane_runtime::hash::fnv1a;

/// Creates marks for writes, each of which is unique across all processes.
///
/// If the response to a write is lost, the SDK sends the write again, and then its condition no longer holds. The mark
/// in the row shows that the first attempt succeeded.
#[derive(Clone)]
pub(super) struct CallTokens {
    process: Arc<str>,
    calls: Arc<AtomicU64>,
}

impl CallTokens {
    pub(super) fn new(process: [u8; 8]) -> Self {
        Self { process: hex::encode(process).into(), calls: Arc::default() }
    }

    /// A factor between one half and one, different for each call, which spreads waiting times.
    pub(super) fn spread(&self) -> f64 {
        0.5 + f64::from(fnv1a(&self.next()) >> 8) / f64::from(1_u32 << 24) / 2.0
    }

    /// At most 36 characters, the limit of DynamoDB's client request tokens.
    pub(super) fn next(&self) -> String {
        format!("{}.{:x}", self.process, self.calls.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_marks_are_the_same_and_each_can_be_a_client_request_token() {
        let calls = CallTokens::new([0xff; 8]);
        calls.calls.store(u64::MAX - 1, Ordering::Relaxed);
        let (a, b) = (calls.next(), calls.clone().next());
        assert_ne!(a, b);
        assert!(a.len() <= 36 && b.len() <= 36, "{a} {b}");
    }

    #[test]
    fn waiting_times_are_spread_over_half_of_their_length() {
        let calls = CallTokens::new([7; 8]);
        let shares: Vec<f64> = (0..100).map(|_| calls.spread()).collect();
        assert!(shares.iter().all(|share| (0.5..1.0).contains(share)), "{shares:?}");
        assert!(shares.iter().any(|share| *share < 0.6) && shares.iter().any(|share| *share > 0.9), "{shares:?}");
    }
}
