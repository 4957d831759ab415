//! Load: connections that each make one call after the other, and what became of the calls.
//!
//! `tasklane bench` and the benchmarks share it, so that a team's figures and ours come from one tool. Nothing here
//! knows what a call is.

mod drive;
mod report;

pub use drive::{Caller, Live, Pace, Until, drive};
pub use report::Report;

#[cfg(test)]
mod tests;
