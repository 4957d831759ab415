//! Load generation: connections that each make one call after another, and a report of the calls.
//!
//! `tasklane bench` and the benchmarks share it, so that a user's figures and ours come from the same tool. It does not
//! know what the calls do.

// A load generator measures real time.
#![allow(clippy::disallowed_methods)]

mod drive;
mod report;

pub use drive::{Caller, Live, Pace, Until, drive};
pub use report::Report;

#[cfg(test)]
mod tests;
