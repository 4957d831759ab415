//! The ports on AWS: Lambda runs the Functions, SQS wakes, EventBridge publishes, CloudWatch Logs remembers, KMS seals.
//!
//! Every request goes out with a pinned behaviour version and one shared HTTP client (`http_client`). Errors that a
//! caller can cause become the port's own; every other one keeps AWS's request id in its text, for the log.

pub mod config;
mod events;
pub mod extension;
mod fault;
pub mod gateway;
mod http_client;
mod lambda;
pub mod logging;
mod logs;
pub mod metrics;
mod minute;
pub mod operator;
mod secrets;
mod settings;
mod stack;
mod trust;
mod wakeups;
#[cfg(test)]
mod wire;

pub use events::EventBridgeEvents;
pub use lambda::{AwsLambda, LIVE_ALIAS, LambdaSettings, PREFIX_TAG};
pub use logs::CloudWatchLogs;
pub use minute::{MinuteError, work_minute};
pub use secrets::KmsSecretBox;
pub use settings::{InvalidSetting, StackSettings};
pub use stack::Stack;
pub use wakeups::{BatchAnswer, SqsWakeups, WakeupBatch};
