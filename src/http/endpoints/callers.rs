//! `/users/v1/me`: who the caller is. The official SDK and CLI check their credentials with it.

use http::Method;
use serde::Serialize;
use tasklane_model::{ApplicationId, Identity, Permissions, Result, UserId};
use tasklane_service::Service;
use utoipa::ToSchema;

use crate::{access::LoggedIn, answer::Json, endpoint::Endpoint};

pub fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::new(Method::GET, "/users/v1/me", "getMe", me).tag("Callers").summary("Read who the caller is")]
}

async fn me(_: Service, access: LoggedIn) -> Result<Json<Me>> {
    Ok(Json::of(access.identity().into()))
}

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// The user's id.
    id: UserId,
    /// The user's id again, because the official CLI's `whoami` shows this field.
    email: UserId,
    /// The application that the user is logged in through.
    #[serde(skip_serializing_if = "Option::is_none")]
    application_id: Option<ApplicationId>,
    /// The user's permissions.
    permissions: Permissions,
}

impl From<&Identity> for Me {
    fn from(identity: &Identity) -> Self {
        Self {
            id: identity.user_id.clone(),
            email: identity.user_id.clone(),
            application_id: identity.application_id.clone(),
            permissions: identity.permissions.clone(),
        }
    }
}
