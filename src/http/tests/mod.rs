//! Tests of the HTTP API against the contract, through the router and, where it makes a difference, a real connection.

// A failure in a helper is a failed test.
#![allow(clippy::unwrap_used, clippy::panic)]

#[cfg(feature = "cli")]
mod callers;
mod cors;
mod credentials;
mod document;
mod doors;
mod kit;
mod log;
mod order;
mod passed_on;
#[cfg(feature = "cli")]
mod revocation;
mod routes;
#[cfg(feature = "cli")]
mod signed_url;
#[cfg(feature = "cli")]
mod signer;
mod sockets;
mod work;
