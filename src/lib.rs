//! tasklane: a task service that runs in your own AWS account, or entirely on your laptop.
//!
//! Dependencies between the modules go one way: `http`, `cli` and the Lambda entry points call `service` and `dispatch`;
//! those call `store` and `ports`; all of them use `model`. `aws` and `local` implement the ports, and only the composition
//! roots use them. `docs/architecture.md` has the picture.

#[cfg(any(feature = "aws", feature = "local"))]
pub mod adapters;
pub mod auth;
#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod client;
pub mod dispatch;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod http;
#[cfg(feature = "cli")]
pub mod load;
#[cfg(feature = "local")]
pub mod local;
pub mod model;
pub mod ports;
pub mod rql;
pub mod runtime;
pub mod service;
pub mod store;
#[cfg(feature = "cli")]
pub mod task_config;
#[cfg(test)]
#[cfg(feature = "local")]
mod testing;
