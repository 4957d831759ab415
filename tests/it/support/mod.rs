//! Helpers of the integration tests: a `tasklane dev` process, the command, and npm packages.

pub mod command;
pub mod debian;
pub mod dev;
pub mod issuer;
pub mod journal;
pub mod packages;
pub mod project;
pub mod python;
pub mod random;
pub mod signed;
pub mod stage;
pub mod wait;
pub mod walk;
