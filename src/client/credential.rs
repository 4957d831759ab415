//! What a request is authenticated with.

use std::fmt;

use serde::Deserialize;

/// A text that no log, error or debug output ever shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for a header, a signature, or the one answer that must show it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a request is authenticated with (contract §7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A bearer token.
    Bearer(Secret),
    /// An OAuth 1.0a signature, HMAC-SHA1.
    OAuth1(OAuth1Keys),
}

/// What OAuth 1.0a signs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth1Keys {
    /// The consumer key: names the application.
    pub consumer_key: String,
    /// The consumer secret.
    pub consumer_secret: Secret,
    /// The token, which names the user, and its secret; an application alone has none.
    pub token: Option<(String, Secret)>,
}
