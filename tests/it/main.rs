//! Integration tests.

// Tests panic on errors, print to stderr, and drive real processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::disallowed_methods)]

mod adapters;
mod cli;
mod completions;
mod console;
mod damage;
mod dev;
mod dev_life;
mod docs_page;
mod examples;
mod execution_credentials;
mod first_account;
mod identity;
mod images;
mod kill;
mod kits;
mod openapi;
mod readme;
mod release;
mod restart;
mod run;
mod schemas;
mod schemathesis;
mod sdk;
mod stack;
mod store;
mod streams;
mod support;
mod template;
mod test_clock;
mod tutorial;
mod typed_clients;
mod uploads;
mod zones;
