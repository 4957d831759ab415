//! tasklane: a task service that runs in your own AWS account, or entirely on your laptop.
//!
//! Each room below `src/` is a crate of its own, and Cargo holds the direction of the arrows between them: `http`, `cli`
//! and the Lambda entry points call `service` and `dispatch`; those call `store` and `ports`; all of them use `model`.
//! `aws` and `local` implement the ports, and only the composition roots use them. `docs/architecture.md` has the picture.
//!
//! This crate gathers the rooms under one name, for the integration tests and the benchmarks. A room never uses it.

pub use tasklane_adapters as adapters;
pub use tasklane_auth as auth;
pub use tasklane_aws as aws;
pub use tasklane_cli as cli;
pub use tasklane_client as client;
pub use tasklane_console as console;
pub use tasklane_dispatch as dispatch;
pub use tasklane_http as http;
pub use tasklane_lambda_local as lambda_local;
pub use tasklane_load as load;
pub use tasklane_local as local;
pub use tasklane_model as model;
pub use tasklane_ports as ports;
pub use tasklane_rql as rql;
pub use tasklane_runtime as runtime;
pub use tasklane_service as service;
pub use tasklane_store as store;
pub use tasklane_task_config as task_config;
