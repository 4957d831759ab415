//! The administrator of one machine: a credential with every permission.

use tasklane_auth::{CredentialSource, IssuedCredential, SecretBox};
use tasklane_model::{Identity, Permissions, UserId};
use tasklane_ports::{PortError, Ports};
use tasklane_store::{Store, StoreError};

const USER: &str = "administrator";

/// Why there is no administrator's credential.
#[derive(Debug, thiserror::Error)]
pub enum AdministratorError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The credential cannot be created or looked up.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Creates an administrator's credential, unless `access_token` belongs to one that is still valid, so that clients
/// with a valid one stay logged in.
pub async fn ensure(
    access_token: Option<&str>,
    store: &Store,
    ports: &Ports,
    secrets: &dyn SecretBox,
) -> Result<Option<IssuedCredential>, AdministratorError> {
    if let Some(token) = access_token
        && is_valid(token, store, ports).await?
    {
        return Ok(None);
    }
    let identity = Identity {
        user_id: UserId::parse(USER).map_err(|cause| PortError::new("name the administrator", cause))?,
        application_id: None,
        permissions: Permissions::all(),
    };
    let (new, stored) = tasklane_auth::issue(identity, None, ports.clock.now(), &ports.ids, secrets).await?;
    store.credentials.put(&stored).await?;
    Ok(Some(new))
}

/// Whether the access token belongs to an administrator with every permission that this version knows.
async fn is_valid(access_token: &str, store: &Store, ports: &Ports) -> Result<bool, AdministratorError> {
    let Some(hash) = tasklane_auth::access_token_hash(access_token) else { return Ok(false) };
    let found = store.credentials.by_access_token_hash(&hash).await?;
    Ok(found.is_some_and(|stored| {
        stored.identity.permissions == Permissions::all() && !stored.has_expired(ports.clock.now())
    }))
}
