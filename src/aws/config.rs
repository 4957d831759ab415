//! How the clients of AWS are made.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs},
    sync::OnceLock,
};

use aws_config::{BehaviorVersion, SdkConfig, environment::EnvironmentVariableCredentialsProvider};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    connector_metadata::ConnectorMetadata,
    dns::{DnsFuture, ResolveDns, ResolveDnsError},
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};

/// The behaviour of the SDK that everything here was written and tested against.
pub fn behavior_version() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The configuration of all clients, from where AWS's own tools look for it: environment, profile, the Lambda
/// function's role. `AWS_ENDPOINT_URL` leads to an emulator.
pub async fn sdk_config() -> SdkConfig {
    let mut loader = aws_config::defaults(behavior_version()).http_client(http_client());
    // It is where the chain looks first. The rest of it, made ready for nothing, is a tenth of a handler's start on Lambda,
    // which gives credentials so.
    let given = |name| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    if given("AWS_ACCESS_KEY_ID") && given("AWS_SECRET_ACCESS_KEY") {
        loader = loader.credentials_provider(EnvironmentVariableCredentialsProvider::new());
    }
    loader.load().await
}

/// One client, and so one pool of connections and one set of root certificates, for all services.
pub fn http_client() -> SharedHttpClient {
    let client = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_with_resolver(Resolver);
    SharedHttpClient::new(Unprepared(client))
}

/// Fetches presigned URLs.
pub fn downloads() -> SharedHttpConnector {
    SharedHttpConnector::new(Downloads(OnceLock::new()))
}

fn new_downloads() -> SharedHttpConnector {
    let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring));
    SharedHttpConnector::new(connector.build_with_resolver(Resolver))
}

/// The machine's root certificates are some hundreds of files or a large one, which take longer to read and parse than all
/// else that a handler's start does. The SDK reads them once, when they are first needed: with this, beside what else is done
/// until then, and behind it where there are too few processors.
pub fn read_root_certificates_meanwhile() {
    // Where no thread is to be had, the first call reads them.
    let _ = std::thread::Builder::new().name("root-certificates".to_owned()).spawn(|| {
        // On Linux that is this thread's, not the process's.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(19);
        drop(new_downloads());
    });
}

/// A client as it is, without what is to prepare it: the SDK's own makes itself ready, with all root certificates, anew for
/// every service's client that it is given to. The first call does it too, once.
#[derive(Debug)]
struct Unprepared(SharedHttpClient);

impl HttpClient for Unprepared {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

/// What fetches, made when something is first fetched.
#[derive(Debug)]
struct Downloads(OnceLock<SharedHttpConnector>);

impl HttpConnector for Downloads {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.0.get_or_init(new_downloads).call(request)
    }
}

/// The machine's own resolver, and `*.localhost`, which is this machine (RFC 6761 §6.3) and which few resolvers know: an
/// emulator's gateways and buckets have such names.
#[derive(Clone, Copy, Debug)]
struct Resolver;

impl ResolveDns for Resolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        if name.ends_with(".localhost") {
            return DnsFuture::ready(Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]));
        }
        let name = name.to_owned();
        DnsFuture::new(async move {
            // The machine's resolver may wait for the network.
            let looked_up = tokio::task::spawn_blocking(move || -> std::io::Result<Vec<IpAddr>> {
                Ok((name.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect())
            });
            looked_up.await.map_err(ResolveDnsError::new)?.map_err(ResolveDnsError::new)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_below_localhost_are_this_machine() {
        for name in ["localhost", "0a1b2c3d.execute-api.localhost"] {
            let addresses = Resolver.resolve_dns(name).await.unwrap();
            assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{name}: {addresses:?}");
        }
    }
}
