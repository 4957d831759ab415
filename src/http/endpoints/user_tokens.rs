//! `/auth/v2/oauth1/tokens`: logging in with an email address and a password (contract §21).

use http::Method;
use tasklane_model::{EmailAddress, ErrorKind, Result, Secret};
use tasklane_service::{Service, UserToken};
use utoipa::ToSchema;

use crate::{
    access::ApplicationAlone,
    answer::{Json, Unstored},
    body::Fields,
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
};

pub fn endpoints() -> Vec<Endpoint> {
    use ErrorKind as Kind;
    let create = Endpoint::new(Method::POST, "/auth/v2/oauth1/tokens", "createUserToken", create)
        .summary("Log in")
        .about(
            "Creates a token for a user, for requests that are signed with the same consumer. It holds what the user's roles \
             grant at the time of each request, is listed among the credentials, and is revoked like them. After ten wrong \
             passwords for a user, one is checked each half minute.",
        )
        .fails(&[
            Kind::Authentication,
            Kind::LoginTimeout,
            Kind::IllegalArgument,
            Kind::IllegalState,
            Kind::ConflictingUpdate,
        ]);
    vec![create.tag("Users")]
}

async fn create(
    service: Service,
    access: ApplicationAlone,
    JsonBody(body): JsonBody<Login>,
) -> Result<Unstored<Json<UserToken>>> {
    let token = service.log_in(access.application(), &body.email, body.password).await?;
    Ok(Unstored(Json::of(token)))
}

/// What a user logs in with.
#[derive(Debug, ToSchema)]
pub struct Login {
    /// The email address.
    email: EmailAddress,
    /// The password.
    #[schema(value_type = String)]
    password: Secret,
}

impl FromFields for Login {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        fields.require(&["email", "password"])?;
        Ok(Self { email: fields.required("email")?, password: fields.required("password")? })
    }
}
