//! How AWS is reached: whose names are resolved by whom, and whose certificates are trusted.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs},
    sync::{Arc, OnceLock},
};

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

use super::trust::{AmazonFirst, Elsewhere, Roots};

/// One client, and so one pool of connections and one set of root certificates, for all services.
pub fn shared() -> SharedHttpClient {
    let client = |roots: Roots| {
        aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(roots.context())
            .build_with_resolver(Resolver)
    };
    match Roots::first() {
        Roots::Machine => SharedHttpClient::new(Unprepared(client(Roots::Machine))),
        Roots::Amazon => SharedHttpClient::new(AmazonFirstClient {
            amazon: client(Roots::Amazon),
            machine: client(Roots::Machine),
            elsewhere: Elsewhere::default(),
        }),
    }
}

/// Fetches presigned URLs.
pub fn downloads() -> SharedHttpConnector {
    let connector = |roots: Roots| OnFirstCall {
        connector: OnceLock::new(),
        make: move || {
            let builder = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring));
            SharedHttpConnector::new(builder.tls_context(roots.context()).build_with_resolver(Resolver))
        },
    };
    let machine = SharedHttpConnector::new(connector(Roots::Machine));
    match Roots::first() {
        Roots::Machine => machine,
        Roots::Amazon => SharedHttpConnector::new(AmazonFirst {
            amazon: SharedHttpConnector::new(connector(Roots::Amazon)),
            machine: Arc::new(move || machine.clone()),
            elsewhere: Elsewhere::default(),
        }),
    }
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

/// [`AmazonFirst`] for all services. Not prepared either.
#[derive(Debug)]
struct AmazonFirstClient {
    amazon: SharedHttpClient,
    machine: SharedHttpClient,
    elsewhere: Elsewhere,
}

impl HttpClient for AmazonFirstClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let amazon = self.amazon.http_connector(settings, components);
        let machine = {
            let (client, settings, components) = (self.machine.clone(), settings.clone(), components.clone());
            move || client.http_connector(&settings, &components)
        };
        SharedHttpConnector::new(AmazonFirst { amazon, machine: Arc::new(machine), elsewhere: self.elsewhere.clone() })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.amazon.connector_metadata()
    }
}

/// What fetches, made when something is first fetched.
struct OnFirstCall<M> {
    connector: OnceLock<SharedHttpConnector>,
    make: M,
}

impl<M: Fn() -> SharedHttpConnector + Send + Sync> HttpConnector for OnFirstCall<M> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.connector.get_or_init(&self.make).call(request)
    }
}

impl<M> fmt::Debug for OnFirstCall<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnFirstCall").finish_non_exhaustive()
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
