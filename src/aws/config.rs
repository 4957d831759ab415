//! How the clients of AWS are made.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector};

/// The behaviour of the SDK that everything here was written and tested against.
pub fn behavior_version() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The configuration of all clients, from where AWS's own tools look for it: environment, profile, the Lambda
/// function's role. `AWS_ENDPOINT_URL` leads to an emulator.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(behavior_version()).http_client(http_client()).load().await
}

/// One client, and so one pool of connections and one set of root certificates, for all services.
pub fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// Fetches presigned URLs.
pub fn downloads() -> SharedHttpConnector {
    SharedHttpConnector::new(Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build())
}
