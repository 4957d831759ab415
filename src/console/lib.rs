//! The console: pages about a service, for people.
//!
//! It is a small web server of its own on this machine, and a client of the service's public HTTP API like any other, so it
//! works with every service, and shows nothing that another client could not have.
//!
//! # What protects it
//!
//! - **No credential is ever in the browser.** The console signs its requests to the service itself.
//! - **An origin of its own.** API Functions answer HTML on the service's origin, so nothing with authority may be there.
//!   Browsers do not tell the ports of a host apart when they send cookies, so everything is below `/console/`, a path that
//!   the service never passes on to a Function, and the cookie is for that path only.
//! - **A link that works once** sets an `HttpOnly`, `SameSite=Strict` cookie (`door`).
//! - **`Host` and `Origin` are checked** for each request, so that neither another name of this address (DNS rebinding) nor
//!   another site's page gets anywhere.
//! - **A strict content security policy**: nothing inline, nothing from anywhere else.
//!
//! # Layout
//!
//! - `door`: who gets in; `server`: connections; `request`, `reply`: what comes and goes; `routes`: which page a path is.
//! - `pages`: one file for each page, and `acts` for what they do; `parts`: what pages are made of.
//! - `live`: tells open pages what has changed.

#![warn(missing_docs)]
// Times are those of this machine, for people.
#![allow(clippy::disallowed_methods)]

mod access;
mod acts;
mod app;
mod door;
mod live;
mod pages;
mod parts;
mod problem;
mod reply;
mod request;
mod routes;
mod server;
#[cfg(test)]
mod tests;
mod view;

pub use server::{Console, ConsoleError};
