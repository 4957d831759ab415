//! The service on one machine: what stands in for AWS.

pub mod database;
pub mod events;
pub mod wakeups;
