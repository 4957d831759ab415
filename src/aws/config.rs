//! How the clients of AWS are made.

use aws_config::{BehaviorVersion, SdkConfig, environment::EnvironmentVariableCredentialsProvider};

use super::http_client;

/// The behaviour of the SDK that everything here was written and tested against.
pub fn behavior_version() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The configuration of all clients, from where AWS's own tools look for it: environment, profile, the Lambda
/// function's role. `AWS_ENDPOINT_URL` leads to an emulator.
pub async fn sdk_config() -> SdkConfig {
    let mut loader = aws_config::defaults(behavior_version()).http_client(http_client::shared());
    // It is where the chain looks first. The rest of it, made ready for nothing, is a tenth of a handler's start on Lambda,
    // which gives credentials so.
    let given = |name| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    if given("AWS_ACCESS_KEY_ID") && given("AWS_SECRET_ACCESS_KEY") {
        loader = loader.credentials_provider(EnvironmentVariableCredentialsProvider::new());
    }
    loader.load().await
}
