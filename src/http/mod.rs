//! HTTP: one router for the local server and for AWS Lambda.
//!
//! `endpoints` lists every endpoint once. The router, the API document and the endpoint × caller test are all made
//! of that list. An endpoint's handler is an async function whose arguments say who is let in (`access`), what is
//! read from the path and the query (`params`) and what is read from the body (`input`); `serve` reads them in
//! that order and stops at the first that is not good.

mod access;
mod answer;
mod body;
mod config;
mod cors;
mod endpoint;
mod endpoints;
mod framing;
mod head;
mod hosts;
mod input;
mod openapi;
mod params;
mod router;
mod serve;
#[cfg(test)]
#[cfg(feature = "local")]
mod tests;

pub use config::{BodyLimits, CorsOrigins, HttpConfig, InvalidPublicUrl, PublicUrl};
pub use hosts::Hosts;
pub use openapi::document as api_document;
pub use router::{Router, router};
pub use serve::{ClientAddress, ClientUri, LocalAddress, refusal};
