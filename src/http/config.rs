//! What a deployment decides about its HTTP side.

use std::{str::FromStr, time::Duration};

use http::{
    Uri,
    uri::{Authority, Scheme},
};
use tokio_util::task::TaskTracker;

use super::{body::BodyBudget, hosts::Hosts};

/// The settings of the HTTP side.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// How clients see this service, when that is not what reaches it (behind a proxy that ends TLS or changes
    /// `Host`): OAuth 1.0a signs it.
    pub public_url: Option<PublicUrl>,
    /// For which hosts it answers.
    pub hosts: Hosts,
    /// Which web pages may read answers.
    pub cors: CorsOrigins,
    /// How large bodies may be.
    pub limits: BodyLimits,
    /// How many bytes of bodies are held at once.
    pub bodies: BodyBudget,
    /// How long a body may take to arrive.
    pub body_patience: Duration,
    /// How long an answer may take before its caller is sent away with 1. The work itself goes on.
    pub answer_patience: Duration,
    /// Every request that is being worked on. Work goes on when its client hangs up, so that a Function's outcome is
    /// never lost with a connection; whoever stops the process closes this and waits for it.
    pub in_flight: TaskTracker,
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
            in_flight: TaskTracker::new(),
        }
    }
}

/// How many bytes of bodies are held at once, and how many of them are of callers without a credential: some uploads of
/// Functions beside each other, and some calls of public ones.
const ALL_BODIES: usize = 256 * 1024 * 1024;
const ANONYMOUS_BODIES: usize = 32 * 1024 * 1024;

/// How large request bodies may be, in bytes. A larger one is answered 413.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Where nothing else is said.
    pub default: usize,
    /// Tasks and direct executions: 250 KB of `data`, and what stands around it.
    pub task: usize,
    /// Functions: the 50 MB of zip that Lambda takes directly, in base64, and what stands around them.
    pub function: usize,
    /// Calls of API Functions (contract §5). What is left of it after conversion is checked by the service.
    pub api_call: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        const MB: usize = 1024 * 1024;
        Self { default: MB, task: 320 * 1024, function: 70 * MB, api_call: 6 * MB }
    }
}

/// Which web pages may read answers of the service (CORS). Answers of API Functions are not touched: their own code
/// decides, and `OPTIONS` reaches it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CorsOrigins {
    /// None.
    #[default]
    None,
    /// Pages served by this machine, on any port.
    Localhost,
    /// Pages of these origins, as `https://console.example.com`.
    Listed(Vec<String>),
    /// Every page. No answer depends on cookies, so this gives nothing to a page that it could not ask for itself.
    Any,
}

impl<'a> FromIterator<&'a str> for CorsOrigins {
    /// Of the origins themselves, `*` being every one. Empty ones are passed over.
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

/// The scheme and authority by which clients reach the service, as `https://api.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    scheme: Scheme,
    authority: Authority,
}

/// Why a text is no [`PublicUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a scheme and a host and nothing else, as https://api.example.com")]
pub struct InvalidPublicUrl;

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPublicUrl> {
        let parts = text.parse::<Uri>().map_err(|_| InvalidPublicUrl)?.into_parts();
        let bare = parts.path_and_query.is_none_or(|path| path == "/");
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority)) if bare && [Scheme::HTTP, Scheme::HTTPS].contains(&scheme) => {
                Ok(Self { scheme, authority })
            }
            _ => Err(InvalidPublicUrl),
        }
    }
}

impl PublicUrl {
    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.scheme.as_str()
    }

    /// The host, with its port if there is one.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_a_scheme_and_a_host() {
        let url: PublicUrl = "https://api.example.com:8443/".parse().unwrap();
        assert_eq!((url.scheme(), url.authority()), ("https", "api.example.com:8443"));
        for wrong in ["", "api.example.com", "/x", "ftp://example.com", "https://example.com/prod", "https://e.com?x"] {
            assert_eq!(wrong.parse::<PublicUrl>(), Err(InvalidPublicUrl), "{wrong}");
        }
    }
}
