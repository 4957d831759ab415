//! Tests of the HTTP API against the contract, through the router and, where it makes a difference, a real connection.

// A failure in a helper is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod batch;
mod bulk;
mod callers;
mod cors;
mod credentials;
mod debounce;
mod document;
mod doors;
mod events;
mod examples;
mod execute_once;
mod flow;
mod follow;
mod kit;
mod log;
mod once;
mod order;
mod overview;
mod passed_on;
mod results;
mod revocation;
mod routes;
mod schedules;
mod schemas;
mod signed_url;
mod signer;
mod sockets;
mod streams;
mod users;
mod work;
