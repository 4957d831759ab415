//! Credentials that were issued here, as clients keep them.

use tasklane_auth::IssuedCredential;
use tasklane_client::StoredCredentials;

/// The lines of a credentials file for the service at `host`.
pub(super) fn stored(host: &str, new: &IssuedCredential) -> StoredCredentials {
    StoredCredentials {
        host: Some(host.to_owned()),
        consumer_key: Some(new.consumer_key.clone()),
        consumer_secret: Some(new.consumer_secret.clone()),
        token: Some(new.token.clone()),
        token_secret: Some(new.token_secret.clone()),
        access_token: Some(new.access_token.clone()),
    }
}
