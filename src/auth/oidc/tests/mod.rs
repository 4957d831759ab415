//! Tokens of a simulated issuer: with keys and tokens made by Node.js, and attacks.

// An error in a test's helper fails the test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fetching;
mod hostile;
mod identity;
