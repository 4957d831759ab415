//! The credentials that the service hands out.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{Client, ClientError, Record, transport::Call};
use crate::model::{ApplicationId, Identity, ObjectId, Page, Permissions, Secret, Timestamp, UserId};

/// What `POST /tasklane/v1/credentials` sends.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewCredential {
    /// Who it stands for.
    pub user_id: UserId,
    /// The application that they come through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_id: Option<ApplicationId>,
    /// What they may do.
    pub permissions: Permissions,
    /// When it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_timestamp: Option<Timestamp>,
}

/// A credential, without its secrets.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialSummary {
    /// Its id.
    pub id: ObjectId,
    /// Who it stands for, and what they may do.
    #[serde(flatten)]
    pub identity: Identity,
    /// When it was created.
    pub creation_timestamp: Timestamp,
    /// When it expires; absent: it counts until it is revoked.
    #[serde(default)]
    pub expires_timestamp: Option<Timestamp>,
    /// Who created it.
    #[serde(default)]
    pub created_by_user_id: Option<UserId>,
}

/// What revoking a credential did.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokedCredential {
    /// How many were revoked.
    pub affected_records: u64,
    /// Those that descend from it.
    #[serde(default)]
    pub descendants: Vec<ObjectId>,
}

/// A credential with its secrets, which the service answers once and never again.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedCredential {
    /// What lists will show of it.
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

impl Client {
    /// The credentials that are not revoked.
    pub async fn credentials(&self) -> Result<Vec<Record<CredentialSummary>>, ClientError> {
        Ok(self.call::<Page<_>>(Call::get(CREDENTIALS)).await?.value.data)
    }

    /// Creates a credential.
    pub async fn create_credential(&self, new: &NewCredential) -> Result<Record<CreatedCredential>, ClientError> {
        self.call(Call::post(CREDENTIALS).json(new)?).await
    }

    /// Revokes a credential, with those that descend from it or without: from now on they open nothing.
    pub async fn revoke_credential(
        &self,
        id: ObjectId,
        descendants: bool,
    ) -> Result<Record<RevokedCredential>, ClientError> {
        let call = Call::new(Method::DELETE, format!("{CREDENTIALS}/{id}"));
        self.call(if descendants { call.query("descendants=true".to_owned()) } else { call }).await
    }
}
