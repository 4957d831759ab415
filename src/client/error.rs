//! Errors of requests.

use std::{error::Error as _, fmt};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::BaseUrl;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service answered with an error.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The connection could not be made; the service did not see the request.
    #[error("cannot reach {base}: {cause}{hint}", hint = local_hint(base))]
    Unreachable {
        /// The address of the service.
        base: BaseUrl,
        /// The reason.
        cause: String,
    },
    /// No response came in time; the service may have carried out the request.
    #[error("{base} did not answer in time")]
    TimedOut {
        /// The address of the service.
        base: BaseUrl,
    },
    /// The connection broke; the service may have carried out the request.
    #[error("the connection to {base} broke: {cause}")]
    Broken {
        /// The address of the service.
        base: BaseUrl,
        /// The reason.
        cause: String,
    },
    /// The response does not come from the service.
    #[error("the response of {base} is not from a tasklane service: {what}")]
    NotTheService {
        /// The address that was called.
        base: BaseUrl,
        /// What is wrong with the response.
        what: String,
    },
    /// This machine cannot make requests, for example because it has no trusted certificates.
    #[error("cannot make HTTP requests: {0}")]
    Setup(String),
}

/// An error response of the service: `{code, name, message, …}` (contract §9).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ServiceError {
    /// The HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// The code that identifies the error; a few errors have none.
    #[serde(default)]
    pub code: Option<u16>,
    /// The name of the error.
    pub name: String,
    /// The message for people.
    #[serde(default)]
    pub message: String,
    /// All other fields, such as `taskId` and `runtimeError`.
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

    /// Whether a retry may succeed, if repeating the request is safe.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Service(error) => error.status >= 500,
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            // The caller has waited long enough.
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

/// reqwest's own message contains only the URL; the reason is at the end of the chain.
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
