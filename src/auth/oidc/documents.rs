//! How an issuer's documents are fetched.

use std::{fmt, time::Duration};

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};

use crate::ports::{PortError, PortFuture};

/// Fetches what an issuer publishes.
pub trait IssuerDocuments: Send + Sync {
    /// The document at this URL. What is too large, too late, redirected or no 200 is an error.
    fn fetch<'a>(&'a self, url: &'a str) -> PortFuture<'a, Result<Bytes, PortError>>;
}

/// The largest document that is read. Those of the large issuers take a few KB.
const MAX_BYTES: usize = 256 * 1024;

/// How long a document may take to be there, all of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Documents fetched over HTTP, with a connector that is at hand anyway. It follows no redirects.
pub struct HttpDocuments {
    connector: SharedHttpConnector,
    patience: Duration,
}

impl HttpDocuments {
    /// By this connector.
    pub fn new(connector: SharedHttpConnector) -> Self {
        Self { connector, patience: PATIENCE }
    }

    /// By a connector of its own, which trusts the certificates that this machine trusts.
    #[cfg(any(feature = "aws", feature = "local"))]
    pub fn over_tls() -> Self {
        use aws_smithy_http_client::{
            Connector,
            tls::{Provider, rustls_provider::CryptoMode},
        };
        Self::new(SharedHttpConnector::new(
            Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build(),
        ))
    }

    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    async fn read(&self, url: &str) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
        let mut request = HttpRequest::get(url)?;
        request.headers_mut().insert("accept", "application/json");
        let response = self.connector.call(request).await?;
        match response.status().as_u16() {
            200 => Ok(Limited::new(response.into_body(), MAX_BYTES).collect().await?.to_bytes()),
            status => Err(format!("HTTP {status}").into()),
        }
    }
}

impl fmt::Debug for HttpDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDocuments").finish_non_exhaustive()
    }
}

impl IssuerDocuments for HttpDocuments {
    fn fetch<'a>(&'a self, url: &'a str) -> PortFuture<'a, Result<Bytes, PortError>> {
        Box::pin(async move {
            let read = tokio::time::timeout(self.patience, self.read(url)).await;
            let failed =
                |cause: &dyn fmt::Display| PortError::new("fetch an issuer's document", format!("{url}: {cause}"));
            match read {
                Ok(Ok(document)) => Ok(document),
                Ok(Err(cause)) => Err(failed(&cause)),
                Err(_) => Err(failed(&format!("it was not there within {} seconds", self.patience.as_secs()))),
            }
        })
    }
}
