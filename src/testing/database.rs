//! The way to the database, which can be slow or refuse calls.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use tasklane_runtime::lock::Lock;

/// Whether a call with this operation and this body is refused.
type Refuses = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// The connection between a store and its database.
#[derive(Clone, Default)]
pub struct TestDatabase {
    latency_millis: Arc<AtomicU64>,
    refuses: Arc<Lock<Option<Refuses>>>,
    calls: Arc<AtomicU64>,
}

impl TestDatabase {
    /// Lets each call take this long from now on.
    pub fn take(&self, latency: Duration) {
        self.latency_millis.store(u64::try_from(latency.as_millis()).expect("a latency"), Ordering::SeqCst);
    }

    /// Refuses calls from now on, depending on their operation (`GetItem`) and body.
    pub fn refuse(&self, refuses: impl Fn(&str, &str) -> bool + Send + Sync + 'static) {
        *self.refuses.lock() = Some(Arc::new(refuses));
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// The HTTP client that leads to this database.
    pub(super) fn in_front_of(&self, database: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Way { database, test: self.clone() })
    }

    fn is_refused(&self, request: &HttpRequest) -> bool {
        let Some(refuses) = self.refuses.lock().clone() else { return false };
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default());
        refuses(target.rsplit('.').next().unwrap_or_default(), &body)
    }
}

struct Way {
    database: SharedHttpClient,
    test: TestDatabase,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the way to the database")
    }
}

impl HttpClient for Way {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let database = self.database.http_connector(settings, components);
        SharedHttpConnector::new(Calls { database, test: self.test.clone() })
    }
}

struct Calls {
    database: SharedHttpConnector,
    test: TestDatabase,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("calls of the database")
    }
}

impl HttpConnector for Calls {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.test.calls.fetch_add(1, Ordering::SeqCst);
        let latency = Duration::from_millis(self.test.latency_millis.load(Ordering::SeqCst));
        let is_refused = self.test.is_refused(&request);
        let database = self.database.clone();
        HttpConnectorFuture::new(async move {
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            if is_refused { Err(ConnectorError::other("refused".into(), None)) } else { database.call(request).await }
        })
    }
}
