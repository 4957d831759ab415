//! The HTTP side against its contract, through the router and, where it makes a difference, a real connection.

// What goes wrong in the helpers of a test is a failed test.
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
