//! How requests are authenticated.

use tasklane_model::Secret;

/// The credential that a client sends (contract §7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A bearer token.
    Bearer(Secret),
    /// An OAuth 1.0a signature, HMAC-SHA1.
    OAuth1(OAuth1Keys),
}

/// The keys of an OAuth 1.0a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth1Keys {
    /// The consumer key, which identifies the application.
    pub consumer_key: String,
    /// The consumer secret.
    pub consumer_secret: Secret,
    /// The token, which identifies the user, and its secret. `None` for an application without a user.
    pub token: Option<(String, Secret)>,
}
