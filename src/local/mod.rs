//! The service on one machine: what stands in for AWS there.

pub mod lambda;
pub mod logs;
