//! Integration tests.

// Tests panic on errors, and print to stderr.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

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
