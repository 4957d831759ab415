//! Credentials: create, list, revoke (contract §7).

use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;

use super::Service;
use crate::{
    auth::{self, StoredCredential},
    model::{
        AffectedRecords, ApplicationId, Caller, Error, Identity, ObjectId, Page, PageWindow, Permission, Permissions,
        Result, Timestamp, UserId,
    },
};

/// What a caller gives to create a credential.
#[derive(Clone, Debug)]
pub struct NewCredential {
    /// Who it stands for.
    pub user_id: UserId,
    /// The application that they log in through.
    pub application_id: Option<ApplicationId>,
    /// What they may do with it.
    pub permissions: Permissions,
    /// When it stops to count; absent: when it is revoked.
    pub expires_timestamp: Option<Timestamp>,
}

/// A credential, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Its id: what revoking it names.
    pub id: ObjectId,
    /// Who it stands for.
    pub user_id: UserId,
    /// The application that they log in through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub application_id: Option<ApplicationId>,
    /// What they may do with it.
    pub permissions: Permissions,
    /// Its OAuth 1.0a consumer key. Public.
    pub consumer_key: String,
    /// Its OAuth 1.0a token. Public.
    pub token: String,
    /// When it was created.
    pub creation_timestamp: Timestamp,
    /// When it stops to count.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_timestamp: Option<Timestamp>,
}

/// A credential with its secrets: answered once, when it is created.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedCredential {
    /// The credential.
    #[serde(flatten)]
    pub credential: Credential,
    /// Its OAuth 1.0a consumer secret.
    pub consumer_secret: String,
    /// Its OAuth 1.0a token secret.
    pub token_secret: String,
    /// Its access token, for `Authorization: Bearer`.
    pub access_token: String,
}

impl std::fmt::Debug for CreatedCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedCredential").field("credential", &self.credential).finish_non_exhaustive()
    }
}

impl NewCredential {
    /// Checks that the caller gives away no more than they hold (10, naming what they lack).
    ///
    /// Names that no endpoint asks for open nothing here, so anybody may write them; one for a single Function
    /// (`EXECUTE_TASK_FUNCTION:invoices`) may be given by whoever holds it or the global one.
    pub fn check_grants(&self, caller: &Caller) -> Result<()> {
        let held = &caller.identity().ok_or_else(Error::not_authenticated)?.permissions;
        let lacking = self.permissions.iter().find(|name| {
            let global = name.split_once(':').map_or(*name, |(global, _)| global);
            let ours = Permission::ALL.into_iter().find(|permission| permission.as_str() == global);
            ours.is_some_and(|permission| !held.hold(permission) && !held.iter().any(|held| held == *name))
        });
        lacking.map_or(Ok(()), |name| Err(Error::no_permission(name)))
    }
}

impl Service {
    /// Creates a credential; 10 when it would hold a permission that the caller does not, 15 when it would have
    /// expired already.
    pub async fn create_credential(&self, caller: &Caller, new: NewCredential) -> Result<CreatedCredential> {
        new.check_grants(caller)?;
        let now = self.inner.ports.clock.now();
        if new.expires_timestamp.is_some_and(|expires| expires <= now) {
            return Err(Error::field_format("expiresTimestamp", "must lie in the future"));
        }
        let identity =
            Identity { user_id: new.user_id, application_id: new.application_id, permissions: new.permissions };
        let (ids, secrets) = (&self.inner.ports.ids, &*self.inner.secrets);
        let issued = auth::issue(identity, new.expires_timestamp, now, ids, secrets).await;
        let (shown, stored) = issued.map_err(Error::internal)?;
        self.inner.store.credentials.put(&stored).await?;
        info!(credential = %stored.id, user = %stored.identity.user_id, by = ?caller.user_id(), "credential created");
        Ok(CreatedCredential {
            credential: stored.into(),
            consumer_secret: shown.consumer_secret.expose().to_owned(),
            token_secret: shown.token_secret.expose().to_owned(),
            access_token: shown.access_token.expose().to_owned(),
        })
    }

    /// Every credential that is not revoked, by creation, expired ones too, in one page; `query` is echoed and
    /// otherwise ignored.
    pub async fn list_credentials(&self, query: &str) -> Result<Page<Credential>> {
        let stored = self.inner.store.credentials.list().await?;
        let data: Vec<_> = stored.into_iter().map(Credential::from).collect();
        let total = data.len() as u64;
        let page = PageWindow { total: Some(total), limit: total, ..PageWindow::default() };
        Ok(Page { query: query.to_owned(), page, data })
    }

    /// Revokes a credential: from then on it is unknown. 16 when there is none.
    pub async fn revoke_credential(&self, id: ObjectId) -> Result<AffectedRecords> {
        if !self.inner.store.credentials.revoke(id).await? {
            return Err(Error::unknown("credential", id));
        }
        info!(credential = %id, "credential revoked");
        Ok(AffectedRecords::ONE)
    }
}

impl From<StoredCredential> for Credential {
    fn from(stored: StoredCredential) -> Self {
        Self {
            id: stored.id,
            user_id: stored.identity.user_id,
            application_id: stored.identity.application_id,
            permissions: stored.identity.permissions,
            consumer_key: stored.consumer_key,
            token: stored.token,
            creation_timestamp: stored.creation_timestamp,
            expires_timestamp: stored.expires,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorKind;

    #[test]
    fn nobody_gives_away_more_than_they_hold() {
        let check = |held: &[&str], given: &[&str]| {
            let permissions = |names: &[&str]| Permissions::parse(names.iter().copied()).unwrap();
            let user_id = UserId::parse("ada").unwrap();
            let new = NewCredential {
                user_id: user_id.clone(),
                application_id: None,
                permissions: permissions(given),
                expires_timestamp: None,
            };
            let caller = Caller::User(Identity { user_id, application_id: None, permissions: permissions(held) });
            new.check_grants(&caller).map_err(|error| error.kind())
        };
        let refused = Err(ErrorKind::NoPermission);
        assert_eq!(check(&["CREATE_CREDENTIALS"], &[]), Ok(()));
        assert_eq!(check(&["CREATE_CREDENTIALS"], &["CREATE_CREDENTIALS", "SOMETHING_ELSE"]), Ok(()));
        assert_eq!(check(&["CREATE_CREDENTIALS"], &["VIEW_TASKS"]), refused);
        assert_eq!(check(&["EXECUTE_TASK_FUNCTION"], &["EXECUTE_TASK_FUNCTION:a"]), Ok(()));
        assert_eq!(check(&["EXECUTE_TASK_FUNCTION:a"], &["EXECUTE_TASK_FUNCTION:a"]), Ok(()));
        assert_eq!(check(&["EXECUTE_TASK_FUNCTION:a"], &["EXECUTE_TASK_FUNCTION:b"]), refused);
        assert_eq!(check(&["EXECUTE_TASK_FUNCTION:a"], &["EXECUTE_TASK_FUNCTION"]), refused);
    }
}
