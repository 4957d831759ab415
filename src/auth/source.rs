//! Where credentials are looked up.

use super::Sealed;
use crate::{
    model::{Identity, Lineage, ObjectId, Timestamp, User, UserId},
    ports::{PortError, PortFuture},
};

/// A credential as it is stored: one consumer, one token and one access token, all of one user.
///
/// The two secrets that OAuth 1.0a's HMAC needs are sealed; of the access token there is only its hash.
#[derive(Clone, Debug)]
pub struct StoredCredential {
    /// Its id: what `credentials revoke` names.
    pub id: ObjectId,
    /// Who it stands for, and what they may do.
    pub identity: Identity,
    /// The OAuth consumer key. Public.
    pub consumer_key: String,
    /// The OAuth consumer secret.
    pub consumer_secret: Sealed,
    /// The OAuth token. Public.
    pub token: String,
    /// The OAuth token secret.
    pub token_secret: Sealed,
    /// The SHA-256 of the opaque access token.
    pub access_token_hash: [u8; 32],
    /// When it was created.
    pub creation_timestamp: Timestamp,
    /// When it expires; `None`: it counts until it is revoked.
    pub expires: Option<Timestamp>,
    /// Who created it; `None` for an administrator's, and for those of versions that did not write it down.
    pub created_by_user_id: Option<UserId>,
    /// The credentials that it descends from: see [`Lineage::ancestors`].
    pub ancestors: Vec<ObjectId>,
}

impl StoredCredential {
    /// Who is logged in with it.
    pub fn user(&self) -> User {
        User {
            identity: self.identity.clone(),
            expires: self.expires,
            credential: Some(Lineage { id: self.id, ancestors: self.ancestors.clone() }),
        }
    }

    /// Whether it has expired.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Looks credentials up. A revoked one is not found.
pub trait CredentialSource: Send + Sync {
    /// The credential of this OAuth consumer key.
    fn by_consumer_key<'a>(&'a self, key: &'a str) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>>;
    /// The credential whose access token has this SHA-256.
    fn by_access_token_hash<'a>(
        &'a self,
        hash: &'a [u8; 32],
    ) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>>;
}
