//! `/users/v1`: users with an account (contract §21), with the names that the upstream service uses on the wire.

use http::Method;
use tasklane_model::{
    AccountText, AffectedRecords, EmailAddress, Error, ErrorKind, Json as AnyJson, ObjectId, Page, Password, Result,
};
use tasklane_rql::Schema;
use tasklane_service::{NewAccount, Service, ShownUser};
use utoipa::ToSchema;

use super::roles::OF_A_CHANGE;
use crate::{
    access::{
        Allowed, Anybody,
        permission::{AddRoleToUser, RemoveRoleFromUser, ViewUser},
    },
    answer::Json,
    body::{Fields, ManualActivation},
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
    params::{Conditions, Listed, Rql},
};

pub fn endpoints() -> Vec<Endpoint> {
    use ErrorKind as Kind;
    let endpoints = vec![
        Endpoint::new(Method::GET, "/users/v1", "listUsers", list).summary("List users"),
        Endpoint::new(Method::POST, "/users/v1/register", "registerUser", register)
            .summary("Register")
            .about(
                "Refused, unless an administrator created or changed a role within the last two minutes. The new user holds \
                 nothing, not even what all users may do, until an administrator gives them a role; without one, they are \
                 forgotten after an hour. The service sends no mail.",
            )
            .fails(&[Kind::NoPermission, Kind::EmailUsed, Kind::IllegalState, Kind::ConflictingUpdate]),
        Endpoint::new(Method::POST, "/users/v1/add_roles", "addUserRoles", add)
            .summary("Give roles to users")
            .about("A caller can only give roles that grant no more than they hold themselves.")
            .fails(&OF_A_CHANGE),
        Endpoint::new(Method::POST, "/users/v1/remove_roles", "removeUserRoles", remove)
            .summary("Take roles from users")
            .about("The change is in effect everywhere within five seconds.")
            .fails(&OF_A_CHANGE),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Users")).collect()
}

#[derive(Debug)]
pub enum Users {}

impl Listed for Users {
    const SCHEMA: Schema = Schema::USERS;
    const CONDITION: &'static str = "eq(email,ada@example.com)";
    const ORDER: Option<&'static str> = Some("-creation_timestamp");
}

async fn list(service: Service, _: Allowed<ViewUser>, rql: Rql<Users>) -> Result<Json<Page<AnyJson>, Page<ShownUser>>> {
    service.list_users(&rql.query).await.map(Json::of)
}

async fn register(service: Service, _: Anybody, JsonBody(body): JsonBody<Registration>) -> Result<Json<ShownUser>> {
    service.register(body.into()).await.map(Json::of)
}

async fn add(
    service: Service,
    access: Allowed<AddRoleToUser>,
    rql: Conditions<Users>,
    JsonBody(body): JsonBody<UserRoles>,
) -> Result<Json<AffectedRecords>> {
    service.add_roles(access.caller(), &rql.query, &body.roles).await.map(Json::of)
}

async fn remove(
    service: Service,
    _: Allowed<RemoveRoleFromUser>,
    rql: Conditions<Users>,
    JsonBody(body): JsonBody<UserRoles>,
) -> Result<Json<AffectedRecords>> {
    service.remove_roles(&rql.query, &body.roles).await.map(Json::of)
}

/// Somebody who registers.
#[derive(Debug, ToSchema)]
pub struct Registration {
    /// The email address, which no other user has.
    email: EmailAddress,
    /// The password: 8 to 256 characters, with a lower-case letter, an upper-case letter and a digit among them.
    #[schema(value_type = String, min_length = 8, max_length = 256)]
    password: Password,
    /// The first name.
    first_name: AccountText,
    /// The last name.
    last_name: AccountText,
    /// The phone number.
    phone_number: AccountText,
    /// The language, such as `EN`.
    language: AccountText,
    /// The time zone.
    time_zone: Option<AccountText>,
    /// How the user is activated.
    #[allow(dead_code)] // there is only one value
    activation_mode: Option<ManualActivation>,
}

impl FromFields for Registration {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        fields.require(&["first_name", "last_name", "email", "password", "phone_number", "language"])?;
        Ok(Self {
            email: fields.required("email")?,
            password: fields.required("password")?,
            first_name: fields.required("first_name")?,
            last_name: fields.required("last_name")?,
            phone_number: fields.required("phone_number")?,
            language: fields.required("language")?,
            time_zone: fields.optional("time_zone")?,
            activation_mode: fields.optional("activation_mode")?,
        })
    }
}

impl From<Registration> for NewAccount {
    fn from(body: Registration) -> Self {
        let Registration { email, password, first_name, last_name, phone_number, language, time_zone, .. } = body;
        Self { email, password, first_name, last_name, phone_number, language, time_zone }
    }
}

/// Roles to give to users, or to take from them.
#[derive(Debug, ToSchema)]
pub struct UserRoles {
    /// The ids of 1 to 20 roles.
    roles: Vec<ObjectId>,
}

impl FromFields for UserRoles {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        let roles: Vec<ObjectId> = fields.required("roles")?;
        if !(1..=20).contains(&roles.len()) {
            return Err(Error::field_format("roles", "must be a list of 1 to 20 ids"));
        }
        Ok(Self { roles })
    }
}
