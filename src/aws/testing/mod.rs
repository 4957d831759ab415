//! Fakes for the tests of the adapters.

// A failure of a fake is a failed test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod clock;
mod counted;
mod replay;

pub use clock::SleeplessClock;
pub use counted::Counted;
pub use replay::{ReplayClient, Reply};
