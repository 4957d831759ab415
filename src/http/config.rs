//! Settings of the HTTP side of a deployment.

use std::{fmt, time::Duration};

use http::{HeaderValue, Method, StatusCode};

use super::{body::BodyBudget, hosts::Hosts, public_url::PublicUrl};

#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The URL that clients use, where it differs from what reaches this process (behind a proxy that ends TLS or
    /// changes `Host`): OAuth 1.0a signs it.
    pub public_url: Option<PublicUrl>,
    /// The hosts that it answers for.
    pub hosts: Hosts,
    /// The web pages that may read its responses.
    pub cors: CorsOrigins,
    /// The size limits of request bodies.
    pub limits: BodyLimits,
    /// How many bytes of request bodies are held at once.
    pub bodies: BodyBudget,
    /// How long a body may take to arrive.
    pub body_patience: Duration,
    /// How long a response may take before the caller gets error 1. The work itself continues.
    pub answer_patience: Duration,
    /// Called with each answer, before its body is sent.
    pub on_answer: Option<OnAnswer>,
}

/// Sees every answer, for a log of the calls.
#[derive(Clone, Copy)]
pub struct OnAnswer(pub fn(&Answered<'_>));

impl fmt::Debug for OnAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnAnswer")
    }
}

/// An answered request. Its query is left out, because it may hold personal data.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, as it came: percent-encoded, and of any length that a request may have.
    pub path: &'a str,
    /// The program that sent it, as it calls itself.
    pub user_agent: Option<&'a HeaderValue>,
    /// The status of the answer.
    pub status: StatusCode,
    /// The time until the answer was complete, or the first part of it if it is streamed.
    pub took: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            public_url: None,
            hosts: Hosts::default(),
            cors: CorsOrigins::None,
            limits: BodyLimits::default(),
            bodies: BodyBudget::new(ALL_BODIES, ANONYMOUS_BODIES),
            body_patience: Duration::from_secs(60),
            answer_patience: Duration::from_secs(300),
            on_answer: None,
        }
    }
}

/// How many bytes of request bodies are held at once, and the part of them that callers without a credential share:
/// room for a few uploads of Functions at the same time, and for a few calls of public Functions.
const ALL_BODIES: usize = 256 * 1024 * 1024;
const ANONYMOUS_BODIES: usize = 32 * 1024 * 1024;

/// The size limits of request bodies, in bytes. A larger body is answered with 413.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// For every endpoint without a limit of its own.
    pub default: usize,
    /// Tasks and direct executions: 250 KB of `data`, plus the JSON around it.
    pub task: usize,
    /// Batches of Tasks.
    pub batch: usize,
    /// Functions: the 50 MB zip that Lambda accepts directly, in base64, plus the JSON around it.
    pub function: usize,
    /// Calls of API Functions (contract §5). The service checks the size once more after conversion.
    pub api_call: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        const MB: usize = 1024 * 1024;
        Self { default: MB, task: 320 * 1024, batch: 3 * MB, function: 70 * MB, api_call: 6 * MB }
    }
}

/// The web pages that may read the service's responses (CORS). Responses of API Functions are not affected: their own
/// code decides, and `OPTIONS` reaches it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CorsOrigins {
    /// No page.
    #[default]
    None,
    /// Pages that this machine serves, on any port.
    Localhost,
    /// Pages of these origins, such as `https://console.example.com`.
    Listed(Vec<String>),
    /// Every page. No response depends on cookies, so a page gets nothing that it could not request on its own.
    Any,
}

impl<'a> FromIterator<&'a str> for CorsOrigins {
    /// Reads a list of origins. `*` means every origin; empty strings are skipped.
    fn from_iter<I: IntoIterator<Item = &'a str>>(origins: I) -> Self {
        let origins: Vec<_> =
            origins.into_iter().map(str::trim).filter(|o| !o.is_empty()).map(ToOwned::to_owned).collect();
        match origins.as_slice() {
            [] => Self::None,
            _ if origins.iter().any(|origin| origin == "*") => Self::Any,
            _ => Self::Listed(origins),
        }
    }
}
