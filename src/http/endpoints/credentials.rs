//! `/tasklane/v1/credentials`: credentials (contract §7). These endpoints have no counterpart upstream.

use http::Method;
use tasklane_model::{ApplicationId, ErrorKind, Page, Permissions, Result, Timestamp, UserId};
use tasklane_service::{CreatedCredential, Credential, NewCredential, Revoked, Service};
use utoipa::ToSchema;

use crate::{
    access::{
        Allowed,
        permission::{CreateCredentials, DeleteCredentials, ViewCredentials},
    },
    answer::{Json, Unstored},
    body::Fields,
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
    params::{Id, UnreadQuery, WithDescendants},
};

pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::GET, "/tasklane/v1/credentials", "listCredentials", list)
            .summary("List credentials")
            .about("All of them in one page, without their secrets."),
        Endpoint::new(Method::POST, "/tasklane/v1/credentials", "createCredential", create)
            .summary("Create a credential")
            .about(
                "The response contains its secrets, which cannot be read again later. A caller can only grant \
                 permissions that they hold, and the new credential expires no later than their own. Creating one for \
                 another user or application requires CREATE_CREDENTIALS_FOR_OTHERS.",
            )
            .fails(&[ErrorKind::IllegalArgument]),
        Endpoint::new(Method::DELETE, "/tasklane/v1/credentials/{credentialId}", "revokeCredential", revoke)
            .summary("Revoke a credential")
            .about("The response lists its descendants: the credentials that were created with it. They are revoked as well if `descendants` is true.")
            .fails(&[ErrorKind::ResourceUnknown]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Credentials")).collect()
}

async fn list(
    service: Service,
    _: Allowed<ViewCredentials>,
    UnreadQuery(query): UnreadQuery,
) -> Result<Json<Page<Credential>>> {
    service.list_credentials(&query).await.map(Json::of)
}

async fn create(
    service: Service,
    access: Allowed<CreateCredentials>,
    JsonBody(body): JsonBody<CredentialCreation>,
) -> Result<Unstored<Json<CreatedCredential>>> {
    service.create_credential(access.caller(), body.into()).await.map(|created| Unstored(Json::of(created)))
}

async fn revoke(
    service: Service,
    _: Allowed<DeleteCredentials>,
    (Id(credential), WithDescendants(descendants)): (Id, WithDescendants),
) -> Result<Json<Revoked>> {
    service.revoke_credential(credential, descendants).await.map(Json::of)
}

/// A credential to create.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CredentialCreation {
    /// The user that it identifies.
    user_id: UserId,
    /// The application that the user logs in through.
    application_id: Option<ApplicationId>,
    /// The permissions that it grants.
    permissions: Permissions,
    /// When it expires. Default: together with the caller's own credential, or never if that does not expire.
    expires_timestamp: Option<Timestamp>,
}

impl FromFields for CredentialCreation {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        fields.require(&["userId", "permissions"])?;
        Ok(Self {
            user_id: fields.required("userId")?,
            application_id: fields.optional("applicationId")?,
            permissions: fields.required("permissions")?,
            expires_timestamp: fields.optional("expiresTimestamp")?,
        })
    }
}

impl From<CredentialCreation> for NewCredential {
    fn from(body: CredentialCreation) -> Self {
        Self {
            user_id: body.user_id,
            application_id: body.application_id,
            permissions: body.permissions,
            expires_timestamp: body.expires_timestamp,
        }
    }
}
