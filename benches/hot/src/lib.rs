//! Benchmarks without a separate process: the engine in this process, on a database in memory or in a folder, with a
//! Function that costs nothing.

// An error in a benchmark ends it.
#![allow(missing_docs)]

pub mod engine;
