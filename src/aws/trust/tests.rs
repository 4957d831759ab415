use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_types::body::SdkBody;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::*;

const BODY: &str = "what is asked";

/// A server on this machine, with a certificate of a root that it alone knows.
struct Server {
    url: String,
    root: String,
    /// For each connection what was said over it, or nothing where the certificate was refused.
    connections: mpsc::UnboundedReceiver<Option<String>>,
}

impl Server {
    async fn start() -> Self {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &root).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let (said, connections) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    let _ = said.send(None);
                    continue;
                };
                let mut text = String::new();
                while !text.ends_with(BODY) {
                    let mut read = [0; 1024];
                    let count = stream.read(&mut read).await.unwrap();
                    text.push_str(std::str::from_utf8(&read[..count]).unwrap());
                }
                let _ = said.send(Some(text));
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                let _ = stream.shutdown().await;
            }
        });
        Self { url, root: root.pem(), connections }
    }

    /// Connections that trust its root.
    fn trusted(&self) -> SharedHttpConnector {
        connector(trusting(TrustStore::empty().with_pem_certificate(self.root.as_str())))
    }

    fn request(&self) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from(BODY));
        request.set_method("POST").unwrap();
        request.set_uri(self.url.as_str()).unwrap();
        request
    }
}

fn connector(context: TlsContext) -> SharedHttpConnector {
    let builder = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring));
    SharedHttpConnector::new(builder.tls_context(context).build())
}

fn amazon_first(
    amazon: SharedHttpConnector,
    machine: impl Fn() -> SharedHttpConnector + Send + Sync + 'static,
) -> AmazonFirst {
    AmazonFirst { amazon, machine: Arc::new(machine), elsewhere: Elsewhere::default() }
}

#[tokio::test]
async fn a_server_that_amazon_does_not_vouch_for_is_asked_with_the_machine_s_roots() {
    let mut server = Server::start().await;
    let trusted = server.trusted();
    let first = amazon_first(connector(Roots::Amazon.context()), move || trusted.clone());
    assert!(!first.elsewhere.is_met());
    assert_eq!(first.call(server.request()).await.unwrap().status().as_u16(), 200);
    assert!(first.elsewhere.is_met());
    assert_eq!(first.call(server.request()).await.unwrap().status().as_u16(), 200);
    assert_eq!(server.connections.recv().await.unwrap(), None, "Amazon's do not lead to it");
    for _ in 0..2 {
        let said = server.connections.recv().await.unwrap().expect("the machine's do");
        assert!(said.starts_with("POST / ") && said.ends_with(BODY), "{said}");
    }
    assert!(server.connections.try_recv().is_err(), "once is enough to find out");
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_refused() {
    let mut server = Server::start().await;
    let first = amazon_first(connector(Roots::Amazon.context()), || connector(Roots::Amazon.context()));
    let error = first.call(server.request()).await.unwrap_err();
    assert!(is_certificate_refused(&error), "{error:?}");
    assert_eq!(server.connections.recv().await.unwrap(), None);
    assert_eq!(server.connections.recv().await.unwrap(), None);
}

#[tokio::test]
async fn the_machine_s_roots_are_not_read_where_amazon_s_do() {
    let mut server = Server::start().await;
    let first = amazon_first(server.trusted(), || panic!("the machine's are not needed"));
    assert_eq!(first.call(server.request()).await.unwrap().status().as_u16(), 200);
    assert!(server.connections.recv().await.unwrap().is_some());
    let nobody = {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("https://localhost:{}/", free.local_addr().unwrap().port())
    };
    let mut request = server.request();
    request.set_uri(nobody).unwrap();
    first.call(request).await.expect_err("nobody listens, which no certificate mends");
    assert!(!first.elsewhere.is_met());
}

#[test]
fn amazon_s_certificates_are_five_roots_of_its_own() {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(AMAZON.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    assert_eq!(roots.len(), 5);
    let names: Vec<_> = roots.roots.iter().map(|root| String::from_utf8_lossy(&root.subject).into_owned()).collect();
    assert!(
        names.iter().all(|name| name.contains("Amazon Root CA") || name.contains("Starfield Services")),
        "{names:?}"
    );
}
