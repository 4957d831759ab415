//! What a request is authenticated with.

use crate::model::Secret;

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
