//! Makes the clients of AWS services.

use aws_config::{BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider};
use tasklane_runtime::on_demand::OnDemand;

use super::http_client;

/// The version of the SDK's behaviour that the adapters are written and tested against.
pub fn behavior_version() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The configuration of all clients, from the places where AWS's own tools look for it: the environment, the profile,
/// the role of the Lambda function. `AWS_ENDPOINT_URL` leads to an emulator.
// Where the SDK looks itself.
#[allow(clippy::disallowed_methods)]
pub async fn sdk_config() -> SdkConfig {
    let mut loader = aws_config::defaults(behavior_version()).http_client(http_client::shared());
    // The default chains look at the environment first, and Lambda sets both there. Preparing the rest of the chains
    // for nothing would take a tenth of a handler's start.
    let given = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    if given("AWS_ACCESS_KEY_ID").is_some() && given("AWS_SECRET_ACCESS_KEY").is_some() {
        loader = loader.credentials_provider(EnvironmentVariableCredentialsProvider::new());
    }
    if let Some(region) = given("AWS_REGION") {
        loader = loader.region(Region::new(region));
    }
    loader.load().await
}

/// A client with this configuration, made by the SDK's `Client::new` on first use.
pub(super) fn client<C: 'static>(sdk: &SdkConfig, new: fn(&SdkConfig) -> C) -> OnDemand<C> {
    let sdk = sdk.clone();
    OnDemand::new(move || new(&sdk))
}
