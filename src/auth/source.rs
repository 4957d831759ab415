//! The source of credentials.

use tasklane_model::{Identity, Lineage, ObjectId, Timestamp, User, UserId};
use tasklane_ports::{PortError, PortFuture};

use super::Sealed;

/// A credential as it is stored: one consumer, one token and one access token, all of one user.
///
/// The two secrets that OAuth 1.0a's HMAC needs are sealed; of the access token only the hash is stored.
#[derive(Clone, Debug)]
pub struct StoredCredential {
    /// The id, as `credentials revoke` expects it.
    pub id: ObjectId,
    /// The user that it stands for, and their permissions.
    pub identity: Identity,
    /// The OAuth consumer key. Public.
    pub consumer_key: String,
    pub consumer_secret: Sealed,
    /// The OAuth token. Public.
    pub token: String,
    pub token_secret: Sealed,
    /// The SHA-256 of the opaque access token.
    pub access_token_hash: [u8; 32],
    pub creation_timestamp: Timestamp,
    /// When it expires; `None`: only when revoked.
    pub expires: Option<Timestamp>,
    /// The user who created it; `None` for an administrator's credential, and for one made by a version that did not record
    /// the creator.
    pub created_by_user_id: Option<UserId>,
    /// The credentials that it descends from. See [`Lineage::ancestors`].
    pub ancestors: Vec<ObjectId>,
}

impl StoredCredential {
    /// The user who is logged in with it.
    pub fn user(&self) -> User {
        User {
            identity: self.identity.clone(),
            expires: self.expires,
            credential: Some(Lineage { id: self.id, ancestors: self.ancestors.clone() }),
        }
    }

    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Looks credentials up. Revoked ones are not found.
pub trait CredentialSource: Send + Sync {
    /// The credential with this OAuth consumer key.
    fn by_consumer_key<'a>(&'a self, key: &'a str) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>>;
    /// The credential whose access token has this SHA-256 hash.
    fn by_access_token_hash<'a>(
        &'a self,
        hash: &'a [u8; 32],
    ) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>>;
}
