//! Test doubles of the outside world: a clock that jumps, a Lambda that does as it is told.

// An error in a test's helper fails the test. Its clock is Tokio's, which jumps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod clock;
mod database;
mod events;
mod lambda;
pub mod log;
mod logs;
mod objects;
mod uploads;
mod world;

pub use clock::TestClock;
pub use database::TestDatabase;
pub use events::TestEvents;
pub use lambda::TestLambda;
pub use logs::{NoLogs, TestLogs};
pub use objects::TestObjects;
pub use uploads::TestUploads;
pub use world::World;
