//! Whose root certificates lead to AWS: Amazon's own, and the machine's where those do not.
//!
//! A machine knows some 140 of them, and to read them takes longer than all else that a handler's start does; Amazon's are
//! five. Nothing is trusted less than by the machine alone: a server that Amazon's do not lead to (in China, an emulator, a
//! proxy that looks into connections) is asked once more with the machine's. Who says which certificates are to be
//! trusted, in `SSL_CERT_FILE` or `SSL_CERT_DIR`, has those alone.

use std::{
    error::Error,
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
    orchestrator::HttpRequest,
};

/// The roots of Amazon Trust Services, valid until 2037 and later.
/// <https://www.amazontrust.com/repository/>
const AMAZON: &str = include_str!("amazon-roots.pem");

/// Some root certificates.
#[derive(Clone, Copy, Debug)]
pub(super) enum Roots {
    Amazon,
    Machine,
}

impl Roots {
    /// What is tried first.
    pub fn first() -> Self {
        let named = |name| std::env::var_os(name).is_some_and(|path| !path.is_empty());
        match named("SSL_CERT_FILE") || named("SSL_CERT_DIR") {
            true => Self::Machine,
            false => Self::Amazon,
        }
    }

    /// Connections that trust these.
    pub fn context(self) -> TlsContext {
        let store = match self {
            Self::Amazon => TrustStore::empty().with_pem_certificate(AMAZON),
            Self::Machine => TrustStore::empty().with_native_roots(true),
        };
        trusting(store)
    }
}

fn trusting(store: TrustStore) -> TlsContext {
    // It checks nothing; the certificates are looked at with the first connection.
    TlsContext::builder().with_trust_store(store).build().unwrap_or_default()
}

/// Whether a server was met that Amazon's certificates do not lead to. Clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Elsewhere(Arc<AtomicBool>);

impl Elsewhere {
    /// From then on the machine's certificates are used for all.
    pub fn is_met(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn meet(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes what trusts the machine's certificates, where it is needed.
pub(super) type MakeConnector = Arc<dyn Fn() -> SharedHttpConnector + Send + Sync>;

/// Asks with Amazon's certificates, and once more with the machine's where the server's is none of Amazon's.
pub(super) struct AmazonFirst {
    pub amazon: SharedHttpConnector,
    pub machine: MakeConnector,
    pub elsewhere: Elsewhere,
}

impl HttpConnector for AmazonFirst {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if self.elsewhere.is_met() {
            return (self.machine)().call(request);
        }
        // Nothing of it was sent when a certificate is refused. A body that cannot be had twice fails, and the SDK's own next
        // attempt goes the other way.
        let again = request.try_clone();
        let asked = self.amazon.call(request);
        let (machine, elsewhere) = (Arc::clone(&self.machine), self.elsewhere.clone());
        HttpConnectorFuture::new(async move {
            match asked.await {
                Err(error) if is_certificate_refused(&error) => {
                    elsewhere.meet();
                    match again {
                        Some(request) => machine().call(request).await,
                        None => Err(error),
                    }
                }
                done => done,
            }
        })
    }
}

impl fmt::Debug for AmazonFirst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmazonFirst").field("elsewhere", &self.elsewhere).finish_non_exhaustive()
    }
}

fn is_certificate_refused(error: &(dyn Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return true;
    }
    // What an I/O error was made of is not its source, but its own text.
    match error.downcast_ref().and_then(io::Error::get_ref) {
        Some(made_of) => is_certificate_refused(made_of),
        None => error.source().is_some_and(is_certificate_refused),
    }
}

#[cfg(test)]
mod tests;
