//! What can go wrong with a request.

use std::{error::Error as _, fmt};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::BaseUrl;

/// Why a request did not get the answer it wanted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service answered with an error.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// No connection came about: the service did not see the request.
    #[error("cannot reach {base}: {cause}{hint}", hint = local_hint(base))]
    Unreachable {
        /// Where the service should be.
        base: BaseUrl,
        /// Why.
        cause: String,
    },
    /// No answer came in time; the service may have done what was asked.
    #[error("{base} did not answer in time")]
    TimedOut {
        /// Where the service is.
        base: BaseUrl,
    },
    /// The connection broke; the service may have done what was asked.
    #[error("the connection to {base} broke: {cause}")]
    Broken {
        /// Where the service is.
        base: BaseUrl,
        /// Why.
        cause: String,
    },
    /// What answered does not speak the service's language.
    #[error("{base} gave an answer that is not the service's: {what}")]
    NotTheService {
        /// What was called.
        base: BaseUrl,
        /// What was wrong with the answer.
        what: String,
    },
    /// This machine cannot make requests: no certificates to trust, for example.
    #[error("cannot make HTTP requests: {0}")]
    Setup(String),
}

/// An error of the service's own: `{code, name, message, …}` (contract §9).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ServiceError {
    /// The HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// The code that tells errors apart; few have none.
    #[serde(default)]
    pub code: Option<u16>,
    /// Its name.
    pub name: String,
    /// What was wrong.
    #[serde(default)]
    pub message: String,
    /// What else the error says: `taskId`, `runtimeError`.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{code} {}: {}", self.name, self.message),
            None => write!(f, "{}: {}", self.name, self.message),
        }
    }
}

impl std::error::Error for ServiceError {}

impl ClientError {
    /// The code of the service's error, if it was one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Service(error) => error.code,
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. }
            | Self::NotTheService { .. }
            | Self::Setup(_) => None,
        }
    }

    /// Whether asking again may help, when asking twice does no harm.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Service(error) => error.status >= 500,
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            // Whoever waited that long once does not want to wait as long again.
            Self::TimedOut { .. } | Self::NotTheService { .. } | Self::Setup(_) => false,
        }
    }

    pub(super) fn from_transport(base: &BaseUrl, error: &reqwest::Error) -> Self {
        let base = base.clone();
        if error.is_connect() {
            Self::Unreachable { base, cause: root_cause(error) }
        } else if error.is_timeout() {
            Self::TimedOut { base }
        } else {
            Self::Broken { base, cause: root_cause(error) }
        }
    }
}

/// What reqwest says itself names the URL and nothing else; the reason is at the end of the chain.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

fn local_hint(base: &BaseUrl) -> &'static str {
    if base.is_local() { "; is `tasklane dev` running?" } else { "" }
}
