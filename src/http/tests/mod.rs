//! The HTTP side against its contract, as far as it is decided before the service is asked.

#[cfg(feature = "cli")]
mod callers;
mod cors;
mod document;
mod kit;
mod log;
mod order;
mod passed_on;
mod routes;
mod sockets;
mod work;
