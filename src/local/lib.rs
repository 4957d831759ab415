//! The service on one machine: the adapters that replace AWS there.

// One real machine, with its clock and its environment.
#![allow(clippy::disallowed_methods)]

pub mod administrator;
pub mod database;
pub mod events;
pub mod history;
pub mod lambda_port;
pub mod logs;
pub mod machine;
pub mod objects;
mod private;
pub mod rehearsal;
pub mod server;
pub mod uploads;
pub mod wakeups;
