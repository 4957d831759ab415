//! Wrong credentials are answered the later, the more of them come from one address or for one consumer.
//!
//! A good credential is never held up, whoever else guesses behind the same address or at the same consumer: only the
//! answer to a wrong one waits. So nobody can lock anybody out. Every secret has 256 random bits, or is a signature; no
//! number of guesses finds one. What this takes away is that guessing is cheap.
//!
//! Each process counts for itself. A count that instances share would cost a write for each wrong credential, which is
//! dearer for its owner than a guess is for who makes it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{model::Timestamp, ports::Clock};

/// How much later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuessSettings {
    /// How long an answer waits at most.
    pub most: Duration,
}

impl Default for GuessSettings {
    fn default() -> Self {
        Self { most: Duration::from_secs(2) }
    }
}

/// So many wrong credentials are answered at once: people mistype, and clients go on with what was revoked.
const FREE: f64 = 20.0;
/// One of them is forgotten in so many seconds.
const FORGIVEN_IN_SECS: f64 = 3.0;
/// Each one beyond the free ones is answered that much later than the one before.
const STEP: Duration = Duration::from_millis(100);
/// How many addresses and consumers are told apart. Those beyond are counted as one.
const CAPACITY: usize = 10_000;
/// How many answers wait at the same time. Those beyond do not wait: they would only fill the memory.
const MOST_WAITING: usize = 2_000;

/// The wrong credentials of the last while.
pub(super) struct Guesses {
    settings: GuessSettings,
    counts: Mutex<Counts>,
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Counts {
    by_source: HashMap<Source, Count>,
    others: Count,
    /// When what has been forgiven was last thrown away.
    swept: Option<Timestamp>,
}

/// What guesses are counted by. Neither is longer than a few bytes, whatever clients send.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Ipv4(u32),
    /// A network of 64 bits: what one subscriber has to themselves.
    Ipv6(u64),
    /// A digest of a consumer key.
    Consumer([u8; 16]),
}

/// How many there were, less those that are forgiven.
#[derive(Clone, Copy)]
struct Count {
    level: f64,
    at: Timestamp,
}

impl Guesses {
    pub fn new(settings: GuessSettings) -> Self {
        Self { settings, counts: Mutex::default(), waiting: AtomicUsize::new(0) }
    }

    /// Counts a wrong credential from `address` and, when it named one that there is, for `consumer`; resolves when it
    /// may be answered.
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
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Throws away what has been forgiven, but not at every guess of a flood.
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

/// One answer that waits.
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
    fn the_first_ones_are_free_and_the_others_wait_longer_and_longer() {
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
    fn what_was_guessed_is_forgiven_in_time() {
        let guesses = guesses();
        for _ in 0..40 {
            guesses.add(address("192.0.2.1"), None, at(0));
        }
        assert_eq!(guesses.add(address("192.0.2.1"), None, at(30_000)), Duration::from_millis(1_100));
        assert_eq!(guesses.add(address("192.0.2.1"), None, at(300_000)), Duration::ZERO);
        // A clock that was set back forgives nothing.
        for _ in 0..20 {
            guesses.add(address("192.0.2.1"), None, at(0));
        }
        assert!(guesses.add(address("192.0.2.1"), None, at(0)) > Duration::ZERO);
    }

    #[test]
    fn addresses_and_consumers_are_told_apart() {
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
    fn a_flood_of_addresses_takes_no_more_room_and_does_not_get_around_it() {
        let guesses = guesses();
        let from = |n: u32| Some(IpAddr::V4(n.into()));
        for n in 0..15_000 {
            guesses.add(from(n), None, at(0));
        }
        assert_eq!(guesses.counts.lock().unwrap().by_source.len(), CAPACITY);
        assert_eq!(guesses.add(from(20_000), None, at(0)), Duration::from_secs(2));
        // Once they are forgiven there is room again.
        assert_eq!(guesses.add(from(30_000), None, at(300_000)), Duration::ZERO);
        assert_eq!(guesses.counts.lock().unwrap().by_source.len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_waits_longer_than_is_set(steps in prop::collection::vec((0_u8..4, -5_000_i64..50_000), 1..200)) {
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
