//! How the clients of AWS are made.

use aws_config::{BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider};

use super::http_client;
use crate::on_demand::OnDemand;

/// The behaviour of the SDK that everything here was written and tested against.
pub fn behavior_version() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The configuration of all clients, from where AWS's own tools look for it: environment, profile, the Lambda
/// function's role. `AWS_ENDPOINT_URL` leads to an emulator.
pub async fn sdk_config() -> SdkConfig {
    let mut loader = aws_config::defaults(behavior_version()).http_client(http_client::shared());
    // The environment is where the chains look first, and Lambda gives both so. The rest of them, made ready for nothing, is a
    // tenth of a handler's start.
    let given = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    if given("AWS_ACCESS_KEY_ID").is_some() && given("AWS_SECRET_ACCESS_KEY").is_some() {
        loader = loader.credentials_provider(EnvironmentVariableCredentialsProvider::new());
    }
    if let Some(region) = given("AWS_REGION") {
        loader = loader.region(Region::new(region));
    }
    loader.load().await
}

/// A client of this configuration, by the SDK's `Client::new`.
pub(super) fn client<C: 'static>(sdk: &SdkConfig, new: fn(&SdkConfig) -> C) -> OnDemand<C> {
    let sdk = sdk.clone();
    OnDemand::new(move || new(&sdk))
}
