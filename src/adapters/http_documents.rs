//! An OIDC issuer's documents over HTTP.

use std::{fmt, time::Duration};

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use tasklane_auth::oidc::IssuerDocuments;
use tasklane_model::with_causes;
use tasklane_ports::{PortError, PortFuture};

/// The largest document that is read. Those of large issuers have a few KB.
const MAX_BYTES: usize = 256 * 1024;

/// How long a whole document may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// Fetches an issuer's documents with a connector that the process has anyway. It does not follow redirects.
pub struct HttpDocuments {
    connector: SharedHttpConnector,
    patience: Duration,
}

impl HttpDocuments {
    /// Uses this connector.
    pub fn new(connector: SharedHttpConnector) -> Self {
        Self { connector, patience: PATIENCE }
    }

    /// Uses a connector of its own, which trusts the certificates that this machine trusts.
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
    fn with_patience(self, patience: Duration) -> Self {
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
                Ok(Err(cause)) => Err(failed(&with_causes(cause.as_ref()))),
                Err(_) => Err(failed(&format!("it did not arrive within {} seconds", self.patience.as_secs()))),
            }
        })
    }
}

#[cfg(test)]
mod tests;
