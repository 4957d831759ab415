//! The HTTP API: one router for the local server and for AWS Lambda.
//!
//! `endpoints` lists every endpoint once, and `about` adds those that describe the list. The router, the API document
//! and the test that calls every endpoint as every kind of caller are all made from these. A handler is an async
//! function whose arguments say who may call (`access`), what is read from the path and the query (`params`) and what
//! is read from the body (`input`). `handler` reads them in that order and stops at the first error.
//!
//! A request passes through `router` (finds the endpoint), `serve` (time limit, panics, log), `handler` (the steps
//! above) and the endpoint's function.
//!
//! **Errors.** Every error that a caller sees is a [`tasklane_model::Error`]: its kind is a row of the contract, its
//! message is for the caller, and its cause, if any, is the original error, for the log. Code here creates one when a
//! request breaks a rule, and passes on those of the service unchanged. Only `serve` turns them into a response
//! (`answer::error_response`) and a log line. The rules of single values (`InvalidPublicUrl`, those in `model`) have
//! types of their own, so that the command line can use them, too. The errors of adapters (`ports`, `store`, the AWS
//! SDK) never reach this module: the service has turned them into an `Error` and kept them as its cause.

pub mod about;
pub mod access;
pub mod answer;
pub mod body;
mod config;
mod connection;
mod cors;
pub mod endpoint;
mod endpoints;
mod event_stream;
mod framing;
pub mod handler;
mod head;
mod hosts;
mod input;
mod once;
mod openapi;
mod params;
mod public_url;
mod range;
mod router;
pub mod serve;

pub use about::document as api_document;
pub use config::{Answered, BodyLimits, CorsOrigins, HttpConfig, OnAnswer};
pub use connection::{ClientAddress, ClientUri, LocalAddress};
pub use hosts::Hosts;
pub use public_url::{InvalidPublicUrl, PublicUrl};
pub use router::{Router, router};
pub use serve::refusal;
