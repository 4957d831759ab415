//! Integration tests.

// Tests panic on errors, print to stderr, and drive real processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::disallowed_methods)]

mod cli;
mod damage;
mod dev;
mod identity;
mod kill;
mod openapi;
mod restart;
mod run;
mod schemathesis;
mod sdk;
mod stack;
mod store;
mod support;
mod template;
