//! Tokens of an issuer that is played here: with the keys and tokens that node made, and with what people try.

// What goes wrong in the helpers of a test is a failed test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fetching;
mod hostile;
mod identity;
pub(crate) mod kit;
