//! The service's credentials.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use tasklane_model::{ApplicationId, Identity, ObjectId, Page, Permissions, Secret, Timestamp, UserId};

use super::{Client, ClientError, Record, transport::Call};

/// The body of `POST /tasklane/v1/credentials`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewCredential {
    /// The user that it stands for.
    pub user_id: UserId,
    /// The application that the user works with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_id: Option<ApplicationId>,
    /// The user's permissions.
    pub permissions: Permissions,
    /// When it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_timestamp: Option<Timestamp>,
}

/// A credential, without its secrets.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialSummary {
    /// The id.
    pub id: ObjectId,
    /// The user that it stands for, and their permissions.
    #[serde(flatten)]
    pub identity: Identity,
    /// When it was created.
    pub creation_timestamp: Timestamp,
    /// When it expires; `None`: only when revoked.
    #[serde(default)]
    pub expires_timestamp: Option<Timestamp>,
    /// The user who created it.
    #[serde(default)]
    pub created_by_user_id: Option<UserId>,
}

/// The result of revoking a credential.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokedCredential {
    /// The number of revoked credentials.
    pub affected_records: u64,
    /// The credentials that descend from it.
    #[serde(default)]
    pub descendants: Vec<ObjectId>,
}

/// A credential with its secrets, which the service returns only once.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedCredential {
    /// The part that lists show.
    #[serde(flatten)]
    pub summary: CredentialSummary,
    /// OAuth 1.0a: the consumer key.
    pub consumer_key: String,
    /// OAuth 1.0a: the consumer secret.
    pub consumer_secret: Secret,
    /// OAuth 1.0a: the token.
    pub token: String,
    /// OAuth 1.0a: the token secret.
    pub token_secret: Secret,
    /// The bearer token.
    pub access_token: Secret,
}

const CREDENTIALS: &str = "/tasklane/v1/credentials";

/// The user that the service sees.
#[derive(Clone, Debug, Deserialize)]
pub struct Me {
    /// Its id.
    pub id: UserId,
    /// Its permissions, if the service says them.
    #[serde(default)]
    pub permissions: Option<Permissions>,
}

impl Client {
    /// The user whose credential this client sends.
    pub async fn me(&self) -> Result<Record<Me>, ClientError> {
        self.call(Call::get("/users/v1/me")).await
    }

    /// The credentials that are not revoked.
    pub async fn credentials(&self) -> Result<Vec<Record<CredentialSummary>>, ClientError> {
        Ok(self.call::<Page<_>>(Call::get(CREDENTIALS)).await?.value.data)
    }

    /// Creates a credential.
    pub async fn create_credential(&self, new: &NewCredential) -> Result<Record<CreatedCredential>, ClientError> {
        self.call(Call::post(CREDENTIALS).json(new)?).await
    }

    /// Revokes a credential, optionally with its descendants. They stop working immediately.
    pub async fn revoke_credential(
        &self,
        id: ObjectId,
        descendants: bool,
    ) -> Result<Record<RevokedCredential>, ClientError> {
        let call = Call::new(Method::DELETE, format!("{CREDENTIALS}/{id}"));
        self.call(if descendants { call.query("descendants=true".to_owned()) } else { call }).await
    }
}
