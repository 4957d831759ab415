//! The source of credentials.

use tasklane_model::{Caller, Identity, Lineage, ObjectId, Permissions, Timestamp, User, UserId};
use tasklane_ports::{PortError, PortFuture};

use super::Sealed;

/// A credential as it is stored: one consumer and one token, and mostly an access token, all of one user. A token that an
/// account got with its password has the consumer that asked for it, and no access token.
///
/// The token of an account also works with every other consumer of the service, as long as that is valid: the official CLI
/// keeps the token that a Function has, and sets the consumer of the person who syncs.
///
/// The two secrets that OAuth 1.0a's HMAC needs are sealed; of the access token only the hash is stored.
#[derive(Clone, Debug)]
pub struct StoredCredential {
    /// The id, as `credentials revoke` expects it.
    pub id: ObjectId,
    /// The user that it stands for, and their permissions. If it belongs to an account, they are what its roles grant.
    pub identity: Identity,
    /// The account that it depends on, if it does.
    pub account: Option<OfAccount>,
    /// The OAuth consumer key. Public.
    pub consumer_key: String,
    pub consumer_secret: Sealed,
    /// The OAuth token. Public.
    pub token: String,
    pub token_secret: Sealed,
    /// The SHA-256 of the opaque access token; `None` for a token whose consumer is another credential's.
    pub access_token_hash: Option<[u8; 32]>,
    pub creation_timestamp: Timestamp,
    /// When it expires; `None`: only when revoked.
    pub expires: Option<Timestamp>,
    /// The user who created it; `None` for an administrator's credential, and for one made by a version that did not record
    /// the creator.
    pub created_by_user_id: Option<UserId>,
    /// The credentials that it descends from. See [`Lineage::ancestors`].
    pub ancestors: Vec<ObjectId>,
}

/// How a credential depends on an account, whose id is the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfAccount {
    /// The most that it grants; `None` for everything that the account's roles do.
    pub within: Option<Permissions>,
    /// Whether the account has a role. Known once the credential was read.
    pub has_role: bool,
}

impl StoredCredential {
    /// The user who is logged in with it.
    pub fn user(&self) -> User {
        User {
            identity: self.identity.clone(),
            expires: self.expires,
            credential: Some(self.lineage()),
            depends_on_account: self.account.is_some(),
        }
    }

    /// The credential and those that it descends from.
    pub fn lineage(&self) -> Lineage {
        Lineage { id: self.id, ancestors: self.ancestors.clone() }
    }

    /// Who calls with it: an account without a role holds nothing.
    pub fn caller(&self) -> Caller {
        match &self.account {
            Some(account) if !account.has_role => Caller::Roleless(self.user()),
            Some(_) | None => Caller::User(self.user()),
        }
    }

    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Looks credentials up. Revoked ones are not found.
pub trait CredentialSource: Send + Sync {
    /// The credential that this OAuth consumer key belongs to.
    fn by_consumer_key<'a>(&'a self, key: &'a str) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>>;
    /// The credential of an account that this OAuth token belongs to. The credential whose consumer asked for it may have been
    /// revoked since.
    fn by_token<'a>(&'a self, token: &'a str) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>>;
    /// The credential whose access token has this SHA-256 hash.
    fn by_access_token_hash<'a>(
        &'a self,
        hash: &'a [u8; 32],
    ) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>>;
}
