//! `/users/v1/me`: who the caller is. The official SDK and CLI check their credentials with it.

use http::Method;
use serde::Serialize;
use tasklane_model::{ApplicationId, Identity, Permissions, Result, UserId};
use tasklane_service::{Profile, Service};
use utoipa::ToSchema;

use crate::{access::LoggedIn, answer::Json, endpoint::Endpoint};

pub fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::new(Method::GET, "/users/v1/me", "getMe", me).tag("Callers").summary("Read who the caller is")]
}

async fn me(service: Service, access: LoggedIn) -> Result<Json<Me>> {
    let Identity { user_id, application_id, permissions } = access.identity().clone();
    let account = service.account_of(access.identity()).await?;
    let email = account.as_ref().map_or_else(|| user_id.to_string(), |account| account.email.to_string());
    let profile = account.map(|account| account.profile);
    Ok(Json::of(Me { id: user_id, email, application_id, permissions, profile }))
}

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// The user's id.
    id: UserId,
    /// The email address of a user with an account. Of others the id again, because the official CLI's `whoami` shows this
    /// field.
    email: String,
    /// The application that the user is logged in through.
    #[serde(skip_serializing_if = "Option::is_none")]
    application_id: Option<ApplicationId>,
    /// The user's permissions.
    permissions: Permissions,
    /// What is known of a user with an account.
    #[serde(flatten)]
    profile: Option<Profile>,
}
