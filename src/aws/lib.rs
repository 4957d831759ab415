//! The ports on AWS: Lambda runs Functions, SQS carries wake-ups, EventBridge publishes events, CloudWatch Logs keeps
//! log lines, KMS seals secrets.
//!
//! All clients share a pinned behaviour version and one HTTP client (`http_client`). Errors that a caller can cause
//! become errors of the port; every other error keeps AWS's request id in its text, for the log.

pub mod config;
mod database;
mod events;
pub mod extension;
mod fault;
pub mod gateway;
mod http_client;
mod lambda;
mod lines;
pub mod logging;
mod logs;
pub mod metrics;
mod minute;
mod objects;
pub mod operator;
mod secrets;
mod settings;
mod stack;
#[cfg(test)]
mod testing;
mod uploads;
mod wakeups;

pub use events::EventBridgeEvents;
pub use lambda::{AwsLambda, LIVE_ALIAS, LambdaSettings, PREFIX_TAG};
pub use logs::CloudWatchLogs;
pub use minute::{MinuteError, work_minute};
pub use objects::S3Objects;
pub use secrets::KmsSecretBox;
pub use settings::{InvalidSetting, StackSettings};
pub use stack::Stack;
pub use uploads::S3Uploads;
pub use wakeups::{BatchAnswer, SqsWakeups, WakeupBatch};
