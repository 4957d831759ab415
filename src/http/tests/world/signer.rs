//! Signs requests like a client.

use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use tasklane_auth::IssuedCredential;
use tasklane_client::{OAuth1Keys, oauth1};
use tasklane_model::{Secret, Timestamp};

/// The keys of a credential, and nonces that never repeat.
pub struct Signer {
    keys: OAuth1Keys,
}

static NONCE: AtomicU64 = AtomicU64::new(0);

impl Signer {
    /// A consumer with this token, or alone.
    pub fn with(consumer_key: &str, consumer_secret: &str, token: Option<(&str, &str)>) -> Self {
        let keys = OAuth1Keys {
            consumer_key: consumer_key.to_owned(),
            consumer_secret: Secret::new(consumer_secret),
            token: token.map(|(token, secret)| (token.to_owned(), Secret::new(secret))),
        };
        Self { keys }
    }

    pub fn of(credential: &IssuedCredential) -> Self {
        let keys = OAuth1Keys {
            consumer_key: credential.consumer_key.clone(),
            consumer_secret: credential.consumer_secret.clone(),
            token: Some((credential.token.clone(), credential.token_secret.clone())),
        };
        Self { keys }
    }

    /// The Authorization header of a GET.
    pub fn get(&self, url: &str, now: Timestamp) -> String {
        self.sign(&Method::GET, url, now)
    }

    /// The Authorization header of a request.
    pub fn sign(&self, method: &Method, url: &str, now: Timestamp) -> String {
        let nonce = format!("n{}", NONCE.fetch_add(1, Ordering::Relaxed));
        oauth1::authorization(&self.keys, method, &url.parse().unwrap(), &nonce, now.as_secs())
    }
}
