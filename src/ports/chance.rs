//! Draws random numbers and ids.

use std::{fmt, sync::Arc};

use tasklane_model::{ObjectId, Timestamp};
use tasklane_runtime::lock::Lock;

/// Draws unpredictable random numbers.
pub trait Chance: Send + Sync {
    /// Fills the buffer with random bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// A random byte.
    fn byte(&self) -> u8 {
        let mut byte = [0];
        self.fill(&mut byte);
        byte[0]
    }
}

/// The operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    fn fill(&self, bytes: &mut [u8]) {
        // Without random numbers no id and no token is safe, so the process cannot continue. Every other place gets its
        // random numbers from here.
        #[allow(clippy::expect_used, clippy::disallowed_methods)]
        getrandom::fill(bytes).expect("the operating system provides random numbers");
    }
}

/// Draws ids that ascend within one process, even if the clock goes back, and are unique across processes.
pub struct Ids {
    chance: Arc<dyn Chance>,
    last: Lock<ObjectId>,
}

impl Ids {
    /// Draws random numbers from `chance`.
    pub fn new(chance: Arc<dyn Chance>) -> Self {
        Self { chance, last: Lock::new(ObjectId::first_at(Timestamp::EPOCH)) }
    }

    /// The next id, for something created at `now`.
    pub fn next(&self, now: Timestamp) -> ObjectId {
        let mut bytes = [0; 8];
        self.chance.fill(&mut bytes);
        let drawn = ObjectId::new(now, u64::from_be_bytes(bytes));
        let mut last = self.last.lock();
        // Two random ids of one millisecond may be in any order; the second one must follow the first.
        let id = if drawn.time() > last.time() { drawn } else { last.successor() };
        *last = id;
        id
    }

    /// `N` unpredictable bytes, for tokens and nonces.
    pub fn secret<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.chance.fill(&mut bytes);
        bytes
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ids").finish_non_exhaustive()
    }
}
