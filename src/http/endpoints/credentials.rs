//! `/tasklane/v1/credentials`: credentials (contract §7). The service's own, with no counterpart upstream.

use http::Method;
use utoipa::ToSchema;

use crate::{
    http::{
        access::{
            Allowed,
            permission::{CreateCredentials, DeleteCredentials, ViewCredentials},
        },
        answer::{Json, Unstored},
        body::Fields,
        endpoint::Endpoint,
        input::{FromFields, JsonBody},
        params::{Id, UnreadQuery, WithDescendants},
    },
    model::{ApplicationId, ErrorKind, Page, Permissions, Result, Timestamp, UserId},
    service::{CreatedCredential, Credential, NewCredential, Revoked, Service},
};

/// What this file serves.
pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::GET, "/tasklane/v1/credentials", "listCredentials", list)
            .summary("List credentials")
            .about("All of them in one page, without their secrets."),
        Endpoint::new(Method::POST, "/tasklane/v1/credentials", "createCredential", create)
            .summary("Create a credential")
            .about(
                "Its secrets are answered this once: the service keeps what checks them, not what shows them. \
                 A caller gives away no permission that they do not hold themselves, only for as long as their own \
                 credential counts, and to another user or application only with CREATE_CREDENTIALS_FOR_OTHERS.",
            )
            .fails(&[ErrorKind::IllegalArgument]),
        Endpoint::new(Method::DELETE, "/tasklane/v1/credentials/{credentialId}", "revokeCredential", revoke)
            .summary("Revoke a credential")
            .about("Names the credentials that descend from it, and revokes them with it where that is asked for.")
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
    /// Who it stands for.
    user_id: UserId,
    /// The application that they log in through.
    application_id: Option<ApplicationId>,
    /// What they may do with it.
    permissions: Permissions,
    /// When it expires; default: when the caller's own does, or else never.
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
