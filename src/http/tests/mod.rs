//! The HTTP side against its contract, as far as it is decided before the service is asked.

mod cors;
mod kit;
mod log;
mod order;
mod routes;
mod work;
