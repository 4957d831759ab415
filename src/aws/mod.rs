//! The ports on AWS: Lambda runs the Functions, SQS wakes, EventBridge publishes, CloudWatch Logs remembers, KMS seals.
//!
//! Every request goes out with a pinned behaviour version and one shared HTTP client ([`config`]). Errors that a
//! caller can cause become the port's own; every other one keeps AWS's request id in its text, for the log.

pub mod config;
mod events;
mod fault;
mod lambda;
mod logs;
mod secrets;
mod wakeups;
#[cfg(test)]
mod wire;

pub use events::EventBridgeEvents;
pub use lambda::{AwsLambda, LambdaSettings};
pub use logs::CloudWatchLogs;
pub use secrets::KmsSecretBox;
pub use wakeups::SqsWakeups;
