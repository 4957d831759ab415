//! `/users/v1/me`: who the caller is. The official SDK and CLI check their credentials with it.

use http::Method;
use serde::Serialize;
use tasklane_model::{AccountText, ApplicationId, Identity, Permissions, Result, Timestamp, UserId};
use tasklane_service::{Profile, Service, ShownRole};
use utoipa::ToSchema;

use crate::{access::LoggedIn, answer::Json, endpoint::Endpoint};

pub fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::new(Method::GET, "/users/v1/me", "getMe", me).tag("Callers").summary("Read who the caller is")]
}

async fn me(service: Service, access: LoggedIn) -> Result<Json<Me, MeFields>> {
    let Identity { user_id, application_id, permissions } = access.identity().clone();
    let account = service.account_of(access.identity()).await?;
    let email = account.as_ref().map_or_else(|| user_id.to_string(), |account| account.email.to_string());
    let profile = account.map(|account| account.profile);
    Ok(Json::of(Me { id: user_id, email, application_id, permissions, profile }))
}

/// The caller.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    id: UserId,
    email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_id: Option<ApplicationId>,
    permissions: Permissions,
    #[serde(flatten)]
    profile: Option<Profile>,
}

/// The caller. What has underscores is known of a user with an account only.
#[derive(ToSchema)]
#[schema(as = Me)]
#[allow(dead_code)] // describes the response
pub struct MeFields {
    /// The user's id.
    id: UserId,
    /// The email address of a user with an account. Of others the id again, because the official CLI's `whoami` shows this
    /// field.
    email: String,
    /// The application that the user is logged in through.
    #[schema(rename = "applicationId")]
    application_id: Option<ApplicationId>,
    /// The user's permissions.
    permissions: Permissions,
    /// The first name.
    first_name: Option<AccountText>,
    /// The last name.
    last_name: Option<AccountText>,
    /// The phone number.
    phone_number: Option<AccountText>,
    /// The language, such as `EN`.
    language: Option<AccountText>,
    /// The time zone.
    time_zone: Option<AccountText>,
    /// Whether the user has a role. Without one, they may do nothing.
    activation: Option<bool>,
    /// The user's roles.
    roles: Option<Vec<ShownRole>>,
    /// When the user registered.
    creation_timestamp: Option<Timestamp>,
    /// When the account last changed.
    update_timestamp: Option<Timestamp>,
}
