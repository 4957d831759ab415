//! Makes the clients of AWS services.

pub use aws_config::SdkConfig;
use aws_config::{BehaviorVersion, Region, environment::EnvironmentVariableCredentialsProvider};
use aws_credential_types::provider::{ProvideCredentials as _, error::CredentialsError};
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

/// Why a person's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoAccess {
    /// No region is configured.
    #[error(
        "no AWS region found: set AWS_REGION, such as eu-west-1, or `region` in the profile that AWS_PROFILE names"
    )]
    Region,
    /// None of the usual places has credentials.
    #[error(
        "no AWS credentials found: set AWS_PROFILE to a profile that has them, log in with `aws sso login`, or set \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Credentials,
}

/// The configuration of a person's commands, which must have a region and credentials.
///
/// # Errors
/// When one of them is missing.
pub async fn operator_config() -> Result<SdkConfig, NoAccess> {
    operator_config_in(None).await
}

/// The same, in this region rather than the one that is configured.
///
/// # Errors
/// As [`operator_config`].
pub async fn operator_config_in(region: Option<&str>) -> Result<SdkConfig, NoAccess> {
    let sdk = sdk_config().await;
    let sdk = match region {
        Some(region) => sdk.into_builder().region(Region::new(region.to_owned())).build(),
        None => sdk,
    };
    if sdk.region().is_none() {
        return Err(NoAccess::Region);
    }
    let provider = sdk.credentials_provider().ok_or(NoAccess::Credentials)?;
    match provider.provide_credentials().await {
        // Other failures, such as a login that has expired, say more when a call is made.
        Err(CredentialsError::CredentialsNotLoaded(_)) => Err(NoAccess::Credentials),
        Ok(_) | Err(_) => Ok(sdk),
    }
}

/// A client of S3. An emulator gets the bucket in the path, because few machines resolve `bucket.localhost`.
pub(super) fn s3(sdk: &SdkConfig) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(sdk).force_path_style(sdk.endpoint_url().is_some());
    aws_sdk_s3::Client::from_conf(config.build())
}

/// A client with this configuration, made by the SDK's `Client::new` on first use.
pub(super) fn client<C: 'static>(sdk: &SdkConfig, new: fn(&SdkConfig) -> C) -> OnDemand<C> {
    let sdk = sdk.clone();
    OnDemand::new(move || new(&sdk))
}
