//! The more wrong credentials come from one address or for one consumer, the longer their responses are delayed.
//!
//! Only responses to wrong credentials are delayed, never those to valid ones, even if others guess from the same address
//! or for the same consumer. So nobody can lock anybody out. Every secret has 256 random bits or is a signature, so guesses
//! never succeed; the delay makes them expensive.
//!
//! Each process keeps its own count. A shared count would need a write for each wrong credential, which costs the owner of
//! the service more than a guess costs the attacker.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tasklane_model::Timestamp;
use tasklane_ports::Clock;
use tasklane_runtime::lock::Lock;

/// How long responses are delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuessSettings {
    /// The longest delay.
    pub most: Duration,
}

impl Default for GuessSettings {
    fn default() -> Self {
        Self { most: Duration::from_secs(2) }
    }
}

/// This many wrong credentials are answered at once: people mistype, and clients keep using revoked credentials.
const FREE: f64 = 20.0;
/// One of them is forgotten every so many seconds.
const FORGIVEN_IN_SECS: f64 = 3.0;
/// Each one beyond these is delayed this much longer than the one before.
const STEP: Duration = Duration::from_millis(100);
/// The number of addresses and consumers that are counted separately. All others share one count.
const CAPACITY: usize = 10_000;
/// The number of responses that are delayed at the same time. Others are sent at once, to bound the memory.
const MOST_WAITING: usize = 2_000;

/// The recent wrong credentials.
pub(super) struct Guesses {
    settings: GuessSettings,
    counts: Lock<Counts>,
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Counts {
    by_source: HashMap<Source, Count>,
    others: Count,
    /// When forgiven entries were last removed.
    swept: Option<Timestamp>,
}

/// Guesses are counted by these keys. Each is a few bytes long, whatever clients send.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Ipv4(u32),
    /// A /64 network, which usually belongs to one subscriber.
    Ipv6(u64),
    /// A digest of a consumer key.
    Consumer([u8; 16]),
}

/// The number of guesses, minus the forgiven ones.
#[derive(Clone, Copy)]
struct Count {
    level: f64,
    at: Timestamp,
}

impl Guesses {
    pub fn new(settings: GuessSettings) -> Self {
        Self { settings, counts: Lock::default(), waiting: AtomicUsize::new(0) }
    }

    /// Counts a wrong credential from `address` and, if it named an existing one, for `consumer`. Resolves when the response
    /// may be sent.
    pub async fn count(&self, address: Option<IpAddr>, consumer: Option<&str>, clock: &dyn Clock) {
        let wait = self.add(address, consumer, clock.now());
        if wait.is_zero() {
            return;
        }
        let _waiting = Waiting::begin(&self.waiting);
        if self.waiting.load(Ordering::Relaxed) <= MOST_WAITING {
            clock.sleep(wait).await;
        }
    }

    fn add(&self, address: Option<IpAddr>, consumer: Option<&str>, now: Timestamp) -> Duration {
        let sources = [address.map(Source::of_address), consumer.map(Source::of_consumer)];
        let mut counts = self.counts.lock();
        let levels = sources.into_iter().flatten().map(|source| counts.add(source, now));
        let over = levels.fold(0.0, f64::max) - FREE;
        STEP.mul_f64(over.clamp(0.0, 1_000_000.0)).min(self.settings.most)
    }
}

impl Counts {
    fn add(&mut self, source: Source, now: Timestamp) -> f64 {
        if !self.by_source.contains_key(&source) && self.by_source.len() >= CAPACITY {
            self.sweep(now);
            if self.by_source.len() >= CAPACITY {
                return self.others.add(now);
            }
        }
        self.by_source.entry(source).or_default().add(now)
    }

    /// Removes forgiven entries, but not for every guess of a flood.
    fn sweep(&mut self, now: Timestamp) {
        let due = self.swept.is_none_or(|swept| now < swept || now.since(swept) >= Duration::from_secs(1));
        if due {
            self.swept = Some(now);
            self.by_source.retain(|_, count| count.level_at(now) > 0.0);
        }
    }
}

impl Default for Count {
    fn default() -> Self {
        Self { level: 0.0, at: Timestamp::EPOCH }
    }
}

impl Count {
    fn add(&mut self, now: Timestamp) -> f64 {
        *self = Self { level: self.level_at(now) + 1.0, at: now };
        self.level
    }

    fn level_at(&self, now: Timestamp) -> f64 {
        (self.level - now.since(self.at).as_secs_f64() / FORGIVEN_IN_SECS).max(0.0)
    }
}

impl Source {
    fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::Ipv4(address.to_bits()),
            IpAddr::V6(address) => Self::Ipv6((address.to_bits() >> 64) as u64),
        }
    }

    fn of_consumer(key: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Self::Consumer(short)
    }
}

/// One delayed response.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000_000 + millis).unwrap()
    }

    fn guesses() -> Guesses {
        Guesses::new(GuessSettings::default())
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_first_guesses_are_free_and_the_others_wait_longer_and_longer() {
        let guesses = guesses();
        for _ in 0..20 {
            assert_eq!(guesses.add(address("192.0.2.1"), None, at(0)), Duration::ZERO);
        }
        assert_eq!(guesses.add(address("192.0.2.1"), None, at(0)), Duration::from_millis(100));
        assert_eq!(guesses.add(address("192.0.2.1"), None, at(0)), Duration::from_millis(200));
        for _ in 0..100 {
            guesses.add(address("192.0.2.1"), None, at(0));
        }
        assert_eq!(guesses.add(address("192.0.2.1"), None, at(0)), Duration::from_secs(2));
    }

    #[test]
    fn guesses_are_forgiven_after_a_while() {
        let guesses = guesses();
        for _ in 0..40 {
            guesses.add(address("192.0.2.1"), None, at(0));
        }
        assert_eq!(guesses.add(address("192.0.2.1"), None, at(30_000)), Duration::from_millis(1_100));
        assert_eq!(guesses.add(address("192.0.2.1"), None, at(300_000)), Duration::ZERO);
        // If the clock was set back, nothing is forgiven.
        for _ in 0..20 {
            guesses.add(address("192.0.2.1"), None, at(0));
        }
        assert!(guesses.add(address("192.0.2.1"), None, at(0)) > Duration::ZERO);
    }

    #[test]
    fn addresses_and_consumers_are_counted_separately() {
        let guesses = guesses();
        for n in 0..40 {
            guesses.add(address("192.0.2.1"), Some("key"), at(0));
            guesses.add(address(&format!("2001:db8::{n:x}")), None, at(0));
        }
        assert_eq!(guesses.add(address("192.0.2.2"), Some("other"), at(0)), Duration::ZERO);
        assert_eq!(guesses.add(address("2001:db8:0:1::1"), None, at(0)), Duration::ZERO);
        for (from, key) in
            [("192.0.2.1", "other"), ("::ffff:192.0.2.1", "other"), ("192.0.2.2", "key"), ("2001:db8::ff", "x")]
        {
            assert!(guesses.add(address(from), Some(key), at(0)) > Duration::ZERO, "{from} {key}");
        }
    }

    #[test]
    fn a_flood_of_addresses_needs_no_more_memory_and_cannot_bypass_the_delay() {
        let guesses = guesses();
        let from = |n: u32| Some(IpAddr::V4(n.into()));
        for n in 0..15_000 {
            guesses.add(from(n), None, at(0));
        }
        assert_eq!(guesses.counts.lock().by_source.len(), CAPACITY);
        assert_eq!(guesses.add(from(20_000), None, at(0)), Duration::from_secs(2));
        // Once they are forgiven, there is room again.
        assert_eq!(guesses.add(from(30_000), None, at(300_000)), Duration::ZERO);
        assert_eq!(guesses.counts.lock().by_source.len(), 1);
    }

    proptest! {
        #[test]
        fn no_delay_exceeds_the_longest(steps in prop::collection::vec((0_u8..4, -5_000_i64..50_000), 1..200)) {
            let guesses = guesses();
            let mut now = 0;
            for (last, millis) in steps {
                now = (now + millis).max(0);
                let wait = guesses.add(Some(IpAddr::V4(u32::from(last).into())), Some("key"), at(now));
                prop_assert!(wait <= Duration::from_secs(2));
            }
        }
    }
}
