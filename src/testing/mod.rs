//! Test doubles of the outside world: a clock that jumps, a Lambda that does as it is told.

mod clock;
mod events;
mod lambda;
mod world;

pub use clock::TestClock;
pub use events::TestEvents;
pub use lambda::TestLambda;
pub use world::World;
