//! Credentials: create, list, revoke (contract §7).

use serde::{Deserialize, Serialize};
use tasklane_auth::{OfAccount, StoredCredential};
use tasklane_model::{
    ApplicationId, Caller, Error, ErrorKind, Identity, Lineage, ObjectId, Page, PageWindow, Permission, Permissions,
    Result, Timestamp, User, UserId,
};
use tracing::info;
use utoipa::ToSchema;

use super::Service;

/// A credential to be created.
#[derive(Clone, Debug)]
pub struct NewCredential {
    /// The user that it identifies.
    pub user_id: UserId,
    /// The application that they log in through.
    pub application_id: Option<ApplicationId>,
    /// Their permissions with it.
    pub permissions: Permissions,
    /// When it expires; by default, when the caller's own credential does.
    pub expires_timestamp: Option<Timestamp>,
}

/// A credential, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Its id, which revokes it.
    pub id: ObjectId,
    /// The user that it identifies.
    pub user_id: UserId,
    /// The application that they log in through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub application_id: Option<ApplicationId>,
    /// Their permissions with it.
    pub permissions: Permissions,
    /// Its OAuth 1.0a consumer key. Public.
    pub consumer_key: String,
    /// Its OAuth 1.0a token. Public.
    pub token: String,
    /// When it was created.
    pub creation_timestamp: Timestamp,
    /// When it expires; absent if it is valid until it is revoked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_timestamp: Option<Timestamp>,
    /// Who created it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_by_user_id: Option<UserId>,
    /// The credential that it was created with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_by_credential_id: Option<ObjectId>,
}

/// A credential with its secrets, which are shown only once.
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

/// The result of a revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    /// How many credentials were revoked.
    pub affected_records: u64,
    /// Its descendants: the credentials that were created with it, or with one of its descendants. They were revoked too if
    /// the request asked for that; otherwise they stay valid.
    #[serde(default)]
    pub descendants: Vec<ObjectId>,
}

impl NewCredential {
    /// Checks that the caller grants no more than they hold: 10, naming the permission that they lack, and 15 for an unknown
    /// permission and for a credential that would outlive theirs.
    ///
    /// A caller may grant a permission for a single Function (`EXECUTE_TASK_FUNCTION:invoices`) if they hold it or the
    /// global one.
    fn check(&self, caller: &User) -> Result<()> {
        self.permissions
            .check_known()
            .map_err(|unknown| Error::field_format("permissions", format!("is wrong: {unknown}")))?;
        if let Some(lacking) = caller.permissions.first_lacking(&self.permissions) {
            return Err(Error::no_permission(lacking));
        }
        // API Functions receive both, so both are part of an identity.
        let application_is_own = self.application_id.is_none() || self.application_id == caller.application_id;
        let is_self = self.user_id == caller.user_id && application_is_own;
        if !is_self && !caller.permissions.hold(Permission::CreateCredentialsForOthers) {
            return Err(Error::no_permission(format!(
                "{} (for a credential with another userId or applicationId than your own)",
                Permission::CreateCredentialsForOthers
            )));
        }
        match (self.expires_timestamp, caller.expires) {
            (Some(expires), Some(latest)) if expires > latest => Err(Error::field_format(
                "expiresTimestamp",
                format!("must not be after {latest}, when your own credential expires"),
            )),
            _ => Ok(()),
        }
    }
}

impl Service {
    /// Creates a credential, which expires with the caller's at the latest. 10 when it would hold a permission that the
    /// caller does not, or identify another user without the permission for that; 15 for an unknown permission, and when
    /// it would be expired already or outlive the caller's.
    pub async fn create_credential(&self, caller: &Caller, new: NewCredential) -> Result<CreatedCredential> {
        let Caller::User(caller) = caller else { return Err(Error::not_authenticated()) };
        new.check(caller)?;
        let now = self.inner.ports.clock.now();
        let expires = new.expires_timestamp.or(caller.expires);
        if expires.is_some_and(|expires| expires <= now) {
            return Err(Error::field_format("expiresTimestamp", "must be in the future"));
        }
        let ancestors = match &caller.credential {
            Some(credential) => credential.of_child().ok_or_else(too_many_ancestors)?,
            None => Vec::new(),
        };
        // Permissions of roles end with the roles, also in the credentials that an account makes for itself.
        let account = (caller.depends_on_account && new.user_id == caller.user_id)
            .then(|| OfAccount { within: Some(new.permissions.clone()), has_role: true });
        let identity =
            Identity { user_id: new.user_id, application_id: new.application_id, permissions: new.permissions };
        let (ids, secrets) = (&self.inner.ports.ids, &*self.inner.secrets);
        let (shown, issued) =
            tasklane_auth::issue(identity, expires, now, ids, secrets).await.map_err(Error::internal)?;
        let created_by_user_id = Some(caller.user_id.clone());
        let stored = StoredCredential { account, created_by_user_id, ancestors, ..issued };
        if !self.inner.store.credentials.put(&stored).await? {
            return Err(revoked_meanwhile());
        }
        info!(credential = %stored.id, user = %stored.identity.user_id, by = %caller.user_id, "credential created");
        Ok(CreatedCredential {
            credential: stored.into(),
            consumer_secret: shown.consumer_secret.expose().to_owned(),
            token_secret: shown.token_secret.expose().to_owned(),
            access_token: shown.access_token.expose().to_owned(),
        })
    }

    /// All credentials that are not revoked, expired ones included, by creation, in one page; `query` is echoed and
    /// otherwise ignored.
    pub async fn list_credentials(&self, query: &str) -> Result<Page<Credential>> {
        let stored = self.inner.store.credentials.list().await?;
        let data: Vec<_> = stored.into_iter().map(Credential::from).collect();
        let total = data.len() as u64;
        let page = PageWindow { total: Some(total), limit: total, ..PageWindow::default() };
        Ok(Page { query: query.to_owned(), page, data })
    }

    /// Revokes a credential, which is then unknown, and lists its descendants. With `descendants` it revokes them too, even
    /// if the credential itself was revoked before. 16 when there is nothing to revoke.
    pub async fn revoke_credential(&self, id: ObjectId, descendants: bool) -> Result<Revoked> {
        let credentials = &self.inner.store.credentials;
        // The credential first: after that, only existing descendants can create new ones.
        let itself = credentials.revoke(id).await?;
        let mut revoked = Revoked { affected_records: u64::from(itself), descendants: Vec::new() };
        loop {
            let found = credentials.descendants(id).await?;
            if !descendants {
                revoked.descendants = found;
                break;
            }
            if found.is_empty() {
                break;
            }
            for descendant in found {
                if credentials.revoke(descendant).await? {
                    revoked.affected_records += 1;
                    revoked.descendants.push(descendant);
                }
            }
        }
        if revoked.affected_records == 0 {
            return Err(Error::unknown("credential", id));
        }
        info!(credential = %id, revoked = revoked.affected_records, "credential revoked");
        Ok(revoked)
    }
}

pub(super) fn revoked_meanwhile() -> Error {
    Error::new(ErrorKind::AccessTokenUnknown, "Your credential was revoked a moment ago.")
}

pub(super) fn too_many_ancestors() -> Error {
    Error::new(
        ErrorKind::IllegalArgument,
        format!(
            "Your credential is at the end of a chain of {} credentials, each created with the one before: use \
             one of those.",
            Lineage::MOST_ANCESTORS
        ),
    )
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
            created_by_user_id: stored.created_by_user_id,
            created_by_credential_id: stored.ancestors.last().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(names: &[&str]) -> Permissions {
        Permissions::parse(names.iter().copied()).unwrap()
    }

    fn ada(held: &[&str]) -> User {
        let user_id = UserId::parse("ada").unwrap();
        Identity { user_id, application_id: None, permissions: permissions(held) }.into()
    }

    fn new(user: &str, given: &[&str]) -> NewCredential {
        let user_id = UserId::parse(user).unwrap();
        NewCredential { user_id, application_id: None, permissions: permissions(given), expires_timestamp: None }
    }

    fn kind(checked: Result<()>) -> Option<ErrorKind> {
        checked.err().map(|error| error.kind())
    }

    #[test]
    fn a_caller_grants_no_more_than_they_hold() {
        let check = |held: &[&str], given: &[&str]| kind(new("ada", given).check(&ada(held)));
        let refused = Some(ErrorKind::NoPermission);
        assert_eq!(check(&["CREATE_CREDENTIALS"], &[]), None);
        assert_eq!(check(&["CREATE_CREDENTIALS"], &["CREATE_CREDENTIALS"]), None);
        assert_eq!(check(&["CREATE_CREDENTIALS"], &["VIEW_TASKS"]), refused);
        assert_eq!(check(&["EXECUTE_TASK_FUNCTION"], &["EXECUTE_TASK_FUNCTION:a"]), None);
        assert_eq!(check(&["EXECUTE_TASK_FUNCTION:a"], &["EXECUTE_TASK_FUNCTION:a"]), None);
        assert_eq!(check(&["EXECUTE_TASK_FUNCTION:a"], &["EXECUTE_TASK_FUNCTION:b"]), refused);
        assert_eq!(check(&["EXECUTE_TASK_FUNCTION:a"], &["EXECUTE_TASK_FUNCTION"]), refused);
    }

    #[test]
    fn unknown_permissions_are_not_granted() {
        for name in ["SOME_FUTURE_PERMISSION", "*", "ALL", "VIEW_TASKS,", "VIEW_TASK", "VIEW_TASKS:x"] {
            // Not even a caller whose token names exactly that, as the claims of an issuer may.
            let error = new("ada", &[name]).check(&ada(&[name, "VIEW_TASKS"])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FieldFormat, "{name}");
            assert!(error.message().contains(name), "{error}");
        }
    }

    #[test]
    fn another_user_or_application_needs_its_own_permission() {
        let (plain, with) = (ada(&["CREATE_CREDENTIALS"]), ada(&["CREATE_CREDENTIALS_FOR_OTHERS"]));
        let elsewhere = NewCredential { application_id: ApplicationId::parse("console").ok(), ..new("ada", &[]) };
        for other in [new("administrator", &[]), elsewhere] {
            assert_eq!(kind(other.check(&plain)), Some(ErrorKind::NoPermission));
            assert_eq!(kind(other.check(&with)), None);
        }
    }

    #[test]
    fn no_credential_outlives_its_creator() {
        let at = |seconds: i64| Some(Timestamp::saturating_from_millis(seconds * 1000));
        let caller = User { expires: at(10), ..ada(&["CREATE_CREDENTIALS_FOR_OTHERS"]) };
        let check = |expires| kind(NewCredential { expires_timestamp: expires, ..new("bob", &[]) }.check(&caller));
        assert_eq!((check(None), check(at(10)), check(at(11))), (None, None, Some(ErrorKind::FieldFormat)));
    }
}
