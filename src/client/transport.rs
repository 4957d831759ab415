//! One request and its response.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{
    Method, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION},
};
use serde::{Serialize, de::DeserializeOwned};
use tasklane_model::{IdempotencyKey, Json, Page, shorten};
use tasklane_ports::{Clock as _, SystemClock};

use super::{BaseUrl, ClientError, Credential, Record, ServiceError, error::root_cause, oauth1};

/// A client of one service, as one caller.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: BaseUrl,
    credential: Credential,
    retry_delays: Vec<Duration>,
}

/// The time limit for a response that does not depend on a Function.
pub(super) const QUICK: Duration = Duration::from_secs(30);
/// The time limit for a response that waits for a Function: 30 s, and its cold start.
pub(super) const EXECUTION: Duration = Duration::from_secs(90);
/// The time limit for a response that waits for the end of a Task: 25 s, and the time to answer.
pub(super) const WAITING: Duration = Duration::from_secs(40);
/// The time limit for an upload and its processing.
pub(super) const UPLOAD: Duration = Duration::from_secs(600);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_DELAYS: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(600), Duration::from_millis(1800)];

/// A request.
pub(super) struct Call {
    method: Method,
    path: String,
    query: Option<String>,
    body: Option<String>,
    timeout: Duration,
    is_repeatable: bool,
}

impl Call {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        let is_repeatable = method == Method::GET;
        Self { method, path: path.into(), query: None, body: None, timeout: QUICK, is_repeatable }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(super) fn query(mut self, rql: String) -> Self {
        self.query = Some(rql);
        self
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        let body = serde_json::to_string(body)
            .map_err(|e| ClientError::Setup(format!("the request cannot be written as JSON: {e}")))?;
        self.body = Some(body);
        Ok(self)
    }

    /// The service requires a body even if there is nothing to send.
    pub(super) fn empty_object(mut self) -> Self {
        self.body = Some("{}".to_owned());
        self
    }

    /// Sends the request again if it may not have arrived, because its body has an idempotency key.
    pub(super) fn once_if(mut self, key: Option<&IdempotencyKey>) -> Self {
        self.is_repeatable |= key.is_some();
        self
    }

    pub(super) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl Client {
    /// A client of the service at `base`.
    ///
    /// # Errors
    /// When this machine has no trusted certificates.
    pub fn new(base: BaseUrl, credential: Credential) -> Result<Self, ClientError> {
        // reqwest asks for the process's provider. An already installed one is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("tasklane/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // The service redirects only to large results (see `once`), and a signature would be invalid at the new address.
            .redirect(reqwest::redirect::Policy::none());
        if base.is_local() {
            builder = builder.no_proxy();
        }
        if let Some(name) = base.name_below_localhost() {
            // The name means this machine (RFC 6761 §6.3), but few resolvers know that. Port 0 keeps the URL's port.
            builder =
                builder.resolve_to_addrs(name, &[(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()]);
        }
        let http = builder.build().map_err(|e| ClientError::Setup(root_cause(&e)))?;
        Ok(Self { http, base, credential, retry_delays: RETRY_DELAYS.to_vec() })
    }

    /// The URL of the service.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn with_retry_delays(mut self, delays: &[Duration]) -> Self {
        self.retry_delays = delays.to_vec();
        self
    }

    /// Sends a request and parses the response. Reads are retried while the service is briefly unavailable; other requests
    /// are not, because they may have been carried out.
    pub(super) async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<Record<T>, ClientError> {
        let text = self.text(&call).await?;
        let not_ours =
            |e: serde_json::Error| ClientError::NotTheService { base: self.base.clone(), what: e.to_string() };
        let json = Json::parse(text).map_err(not_ours)?;
        let value = serde_json::from_str(json.as_str()).map_err(not_ours)?;
        Ok(Record { value, json })
    }

    /// Requests a page of a list.
    pub(super) async fn page<T: DeserializeOwned>(&self, path: &str, rql: String) -> Result<Page<T>, ClientError> {
        Ok(self.call(Call::get(path).query(rql)).await?.value)
    }

    async fn text(&self, call: &Call) -> Result<String, ClientError> {
        Ok(String::from_utf8_lossy(&self.bytes(call).await?).into_owned())
    }

    /// Sends a request once.
    pub(super) async fn once(&self, call: &Call) -> Result<String, ClientError> {
        let bytes = self.once_as_bytes(call).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Sends a request, and again while the service is briefly unavailable, if it only reads.
    pub(super) async fn bytes(&self, call: &Call) -> Result<Bytes, ClientError> {
        let mut delays = self.retry_delays.iter();
        loop {
            match self.once_as_bytes(call).await {
                Err(e) if call.is_repeatable && e.is_passing() => match delays.next() {
                    Some(delay) => tokio::time::sleep(*delay).await,
                    None => return Err(e),
                },
                result => return result,
            }
        }
    }

    async fn once_as_bytes(&self, call: &Call) -> Result<Bytes, ClientError> {
        let answer = self.send(call).await?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|e| ClientError::from_transport(&self.base, &e))?;
        if status.is_success() { Ok(bytes) } else { Err(self.refusal(status, &String::from_utf8_lossy(&bytes))) }
    }

    /// Sends a request once. Its response arrives little by little.
    pub(super) async fn stream(&self, call: &Call) -> Result<Response, ClientError> {
        let answer = self.send(call).await?;
        let status = answer.status();
        if !status.is_success() {
            let text = answer.text().await.map_err(|e| ClientError::from_transport(&self.base, &e))?;
            return Err(self.refusal(status, &text));
        }
        let kind = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if kind.starts_with(b"text/event-stream") {
            return Ok(answer);
        }
        let what = "it is no event stream".to_owned();
        Err(ClientError::NotTheService { base: self.base.clone(), what })
    }

    async fn send(&self, call: &Call) -> Result<Response, ClientError> {
        let url = self.base.join(&call.path, call.query.as_deref());
        let authorization = match &self.credential {
            Credential::Bearer(token) => format!("Bearer {}", token.expose()),
            Credential::OAuth1(keys) => {
                let now = SystemClock.now().as_secs();
                oauth1::authorization(keys, &call.method, &url, &nonce()?, now)
            }
        };
        let mut request = self.http.request(call.method.clone(), url).timeout(call.timeout);
        request = request.header(AUTHORIZATION, authorization);
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let broken = |e: reqwest::Error| ClientError::from_transport(&self.base, &e);
        let mut answer = request.send().await.map_err(broken)?;
        if answer.status() == StatusCode::SEE_OTHER
            && let Some(url) = answer.headers().get(LOCATION).and_then(|url| url.to_str().ok())
        {
            // A large result, or code: this URL is signed, and needs no credential.
            answer = self.http.get(url).timeout(call.timeout).send().await.map_err(broken)?;
        }
        Ok(answer)
    }

    /// Sends bytes to a URL that authorises by itself, and again while nothing there answers.
    pub(super) async fn send_elsewhere(
        &self,
        method: Method,
        url: &str,
        headers: &BTreeMap<String, String>,
        body: &Bytes,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        // Errors name the place that was called.
        let place = url.parse::<reqwest::Url>().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        let place = BaseUrl::from_url(&place).unwrap_or_else(|_| self.base.clone());
        let mut delays = self.retry_delays.iter();
        loop {
            let mut request = self.http.request(method.clone(), url).timeout(timeout).body(body.clone());
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let sent = async {
                let answer = request.send().await.map_err(|e| ClientError::from_transport(&place, &e))?;
                let status = answer.status();
                let text = answer.text().await.unwrap_or_default();
                match (status.is_success(), serde_json::from_str::<ServiceError>(&text)) {
                    (true, _) => Ok::<_, ClientError>(()),
                    (false, Ok(error)) => Err(ServiceError { status: status.as_u16(), ..error }.into()),
                    // S3 answers in XML.
                    (false, Err(_)) => Err(ServiceError {
                        status: status.as_u16(),
                        code: None,
                        name: format!("HTTP {status}"),
                        message: format!("{place} did not take the upload: {}", shorten(&text)),
                        details: serde_json::Map::new(),
                    }
                    .into()),
                }
            };
            match sent.await {
                Err(e) if e.is_passing() => match delays.next() {
                    Some(delay) => tokio::time::sleep(*delay).await,
                    None => return Err(e),
                },
                result => return result,
            }
        }
    }

    fn refusal(&self, status: StatusCode, text: &str) -> ClientError {
        match serde_json::from_str::<ServiceError>(text) {
            Ok(error) => ServiceError { status: status.as_u16(), ..error }.into(),
            // The response comes from a gateway or proxy in between.
            Err(_) if status.is_server_error() => ServiceError {
                status: status.as_u16(),
                code: None,
                name: format!("HTTP {status}"),
                message: "the service is not available".to_owned(),
                details: serde_json::Map::new(),
            }
            .into(),
            Err(_) => ClientError::NotTheService { base: self.base.clone(), what: format!("HTTP {status}") },
        }
    }
}

// `Chance` would panic without random numbers; a command says so.
#[allow(clippy::disallowed_methods)]
fn nonce() -> Result<String, ClientError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| ClientError::Setup(format!("no random numbers: {e}")))?;
    Ok(hex::encode(bytes))
}
