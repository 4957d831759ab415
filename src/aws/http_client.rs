//! The HTTP clients for AWS: name resolution and trusted certificates.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use aws_smithy_http_client::{
    Connector,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
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
use tasklane_model::Timestamp;
use tasklane_ports::Clock;
use tasklane_runtime::{lock::Lock, on_demand::OnDemand};

/// The roots of Amazon Trust Services, valid until 2037 and later.
/// <https://www.amazontrust.com/repository/>
const AMAZON: &str = include_str!("amazon-roots.pem");

/// The client for all services of AWS, with one pool of connections and one set of root certificates.
// The SDK and OpenSSL read the same variables themselves.
#[allow(clippy::disallowed_methods)]
pub fn shared() -> SharedHttpClient {
    let roots = Roots::of_environment(|name| std::env::var(name).ok());
    let client = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(roots.context())
        .build_with_resolver(Resolver);
    SharedHttpClient::new(Unprepared(client))
}

/// How long a connection to Lambda may be idle and be used again. Lambda freezes a handler between two invocations,
/// and meanwhile a connection can break without a sign: the next request is lost with it, and nobody knows whether the
/// Function ran.
const LONGEST_IDLE: Duration = Duration::from_secs(5);

/// The client for Lambda. Requests that run Functions cannot be repeated, so it uses no connection that has been idle
/// for long.
pub fn for_invocations(clock: Arc<dyn Clock>) -> SharedHttpClient {
    // The SDK and OpenSSL read the same variables themselves.
    #[allow(clippy::disallowed_methods)]
    let roots = Roots::of_environment(|name| std::env::var(name).ok());
    let make = move || {
        aws_smithy_http_client::Builder::new()
            .pool_idle_timeout(LONGEST_IDLE)
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(roots.context())
            .build_with_resolver(Resolver)
    };
    SharedHttpClient::new(Unprepared(SharedHttpClient::new(Fresh::new(clock, make))))
}

/// A client that drops all its connections if it has been idle for [`LONGEST_IDLE`]. The pool's own timeout is not
/// enough: its clock may stand still while the process is frozen.
struct Fresh {
    clock: Arc<dyn Clock>,
    make: Box<dyn Fn() -> SharedHttpClient + Send + Sync>,
    /// The client, and when it was last used.
    current: Lock<Option<(SharedHttpClient, Timestamp)>>,
}

impl Fresh {
    fn new(clock: Arc<dyn Clock>, make: impl Fn() -> SharedHttpClient + Send + Sync + 'static) -> Self {
        Self { clock, make: Box::new(make), current: Lock::default() }
    }

    fn client(&self) -> SharedHttpClient {
        let now = self.clock.now();
        let mut current = self.current.lock();
        // A use in the future: the clock was set back.
        let is_fresh = |used: Timestamp| used <= now && now.since(used) < LONGEST_IDLE;
        let client = match current.take() {
            Some((client, used)) if is_fresh(used) => client,
            Some(_) | None => (self.make)(),
        };
        *current = Some((client.clone(), now));
        client
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fresh")
    }
}

impl HttpClient for Fresh {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.client().http_connector(settings, components)
    }
}

/// The connector for other servers: presigned URLs, OIDC issuers, the gateway. It trusts the machine's root
/// certificates, and is made with the first request.
pub fn downloads() -> SharedHttpConnector {
    let connector = OnDemand::new(|| {
        let builder = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring));
        SharedHttpConnector::new(builder.tls_context(Roots::Machine.context()).build_with_resolver(Resolver))
    });
    SharedHttpConnector::new(OnFirstCall(connector))
}

/// The root certificates that lead to AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Roots {
    /// Amazon's own five.
    Amazon,
    /// The machine's, some 140.
    Machine,
}

impl Roots {
    /// On Lambda, Amazon's own: reading the machine's takes longer than the rest of a handler's start. Everywhere else,
    /// and in the partitions whose endpoints have other roots (China and the isolated ones), the machine's.
    /// `SSL_CERT_FILE`, `SSL_CERT_DIR` and another endpoint say that other roots are wanted, so with them it is the
    /// machine's, too.
    fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
        let region = variable("AWS_REGION").unwrap_or_default();
        let has_other_roots = region.starts_with("cn-") || region.contains("-iso");
        let wants_other_roots = ["SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_ENDPOINT_URL"].into_iter().any(is_set);
        match is_set("AWS_LAMBDA_FUNCTION_NAME") && !has_other_roots && !wants_other_roots {
            true => Self::Amazon,
            false => Self::Machine,
        }
    }

    fn context(self) -> TlsContext {
        let store = match self {
            Self::Amazon => TrustStore::empty().with_pem_certificate(AMAZON),
            Self::Machine => TrustStore::empty().with_native_roots(true),
        };
        // Building checks nothing; the certificates are parsed for the first connection.
        TlsContext::builder().with_trust_store(store).build().unwrap_or_default()
    }
}

/// A client whose preparation is skipped: the SDK would parse the root certificates once for the client of every
/// service. The first request parses them, once for all.
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

#[derive(Debug)]
struct OnFirstCall(OnDemand<SharedHttpConnector>);

impl HttpConnector for OnFirstCall {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.0.call(request)
    }
}

/// The machine's own resolver, plus `*.localhost`, which is this machine (RFC 6761 §6.3). Emulators use such names for
/// gateways and buckets, and few resolvers know them.
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
    use aws_smithy_types::body::SdkBody;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;

    #[tokio::test]
    async fn names_below_localhost_are_this_machine() {
        for name in ["localhost", "0a1b2c3d.execute-api.localhost"] {
            let addresses = Resolver.resolve_dns(name).await.unwrap();
            assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{name}: {addresses:?}");
        }
    }

    #[test]
    fn amazons_roots_are_used_on_lambda_unless_something_says_otherwise() {
        const LAMBDA: (&str, &str) = ("AWS_LAMBDA_FUNCTION_NAME", "dev-api");
        for (variables, expected) in [
            (&[LAMBDA][..], Roots::Amazon),
            (&[LAMBDA, ("AWS_REGION", "eu-west-1"), ("SSL_CERT_FILE", "")], Roots::Amazon),
            (&[], Roots::Machine),
            (&[("AWS_REGION", "eu-west-1")], Roots::Machine),
            (&[LAMBDA, ("AWS_REGION", "cn-north-1")], Roots::Machine),
            (&[LAMBDA, ("AWS_REGION", "us-iso-east-1")], Roots::Machine),
            (&[LAMBDA, ("SSL_CERT_FILE", "/var/task/ca.pem")], Roots::Machine),
            (&[LAMBDA, ("SSL_CERT_DIR", "/var/task/certs")], Roots::Machine),
            (&[LAMBDA, ("AWS_ENDPOINT_URL", "https://emulator")], Roots::Machine),
        ] {
            let value = |name: &str| {
                variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(Roots::of_environment(value), expected, "{variables:?}");
        }
    }

    #[test]
    fn amazons_certificates_are_its_five_roots() {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(AMAZON.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        assert_eq!(roots.len(), 5);
        let names: Vec<_> =
            roots.roots.iter().map(|root| String::from_utf8_lossy(&root.subject).into_owned()).collect();
        assert!(
            names.iter().all(|name| name.contains("Amazon Root CA") || name.contains("Starfield Services")),
            "{names:?}"
        );
    }

    /// Starts a server for one connection, with a certificate for `localhost`. Returns its URL and its root.
    async fn server() -> (String, String) {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &root).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = TlsAcceptor::from(std::sync::Arc::new(config)).accept(stream).await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
                let _ = stream.shutdown().await;
            }
        });
        (url, root.pem())
    }

    #[tokio::test]
    async fn a_server_is_refused_unless_one_of_the_roots_leads_to_it() {
        let (url, _) = server().await;
        let ask = |context: TlsContext, url: &str| {
            let mut request = HttpRequest::new(SdkBody::empty());
            request.set_uri(url).unwrap();
            let builder = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring));
            builder.tls_context(context).build_with_resolver(Resolver).call(request)
        };
        let refused = ask(Roots::Amazon.context(), &url).await.unwrap_err();
        assert!(format!("{refused:?}").contains("InvalidCertificate"), "{refused:?}");
        let (url, root) = server().await;
        let store = TrustStore::empty().with_pem_certificate(root.as_str());
        let trusted = TlsContext::builder().with_trust_store(store).build().unwrap();
        assert_eq!(ask(trusted, &url).await.unwrap().status().as_u16(), 200);
    }
}
