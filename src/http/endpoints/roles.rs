//! `/users/v1/roles`: roles (contract §21), with the names that the upstream service uses on the wire.

use http::Method;
use tasklane_model::{
    AccountText, AffectedRecords, Error, ErrorKind, Json as AnyJson, Page, Permissions, Result, RoleName,
};
use tasklane_rql::Schema;
use tasklane_service::{NewRole, Service, ShownRole};
use utoipa::ToSchema;

use crate::{
    access::{
        Allowed,
        permission::{AddRolePermission, CreateRole, RemoveRolePermission, ViewRole},
    },
    answer::Json,
    body::Fields,
    config::BodyLimits,
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
    params::{Conditions, Listed, Rql},
};

/// The errors of a change of all records that RQL selects.
pub(super) const OF_A_CHANGE: [ErrorKind; 4] =
    [ErrorKind::EmptyRql, ErrorKind::ResourceUnknown, ErrorKind::IllegalArgument, ErrorKind::ConflictingUpdate];

pub fn endpoints() -> Vec<Endpoint> {
    use ErrorKind as Kind;
    let endpoints = vec![
        Endpoint::new(Method::GET, "/users/v1/roles", "listRoles", list).summary("List roles"),
        Endpoint::new(Method::POST, "/users/v1/roles", "createRole", create)
            .summary("Create a role")
            .about("It grants nothing until permissions are added. After that, people may register for two minutes.")
            .fails(&[Kind::ResourceAlreadyExists, Kind::IllegalState, Kind::ConflictingUpdate]),
        Endpoint::new(Method::POST, "/users/v1/roles/add_permissions", "addRolePermissions", add)
            .summary("Add permissions to roles")
            .about(
                "A caller can only add permissions that they hold. Names that are no permissions of this service are kept and \
                 grant nothing. The change is in effect everywhere within five seconds.",
            )
            .fails(&OF_A_CHANGE),
        Endpoint::new(Method::POST, "/users/v1/roles/remove_permissions", "removeRolePermissions", remove)
            .summary("Remove permissions from roles")
            .about("The change is in effect everywhere within five seconds.")
            .fails(&OF_A_CHANGE),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Users")).collect()
}

#[derive(Debug)]
pub enum Roles {}

impl Listed for Roles {
    const SCHEMA: Schema = Schema::ROLES;
    const CONDITION: &'static str = "eq(name,editors)";
    const ORDER: Option<&'static str> = Some("-creation_timestamp");
}

async fn list(service: Service, _: Allowed<ViewRole>, rql: Rql<Roles>) -> Result<Json<Page<AnyJson>, Page<ShownRole>>> {
    service.list_roles(&rql.query).await.map(Json::of)
}

async fn create(
    service: Service,
    _: Allowed<CreateRole>,
    JsonBody(body): JsonBody<RoleCreation>,
) -> Result<Json<ShownRole>> {
    let new = NewRole { name: body.name, description: body.description.unwrap_or_default() };
    service.create_role(new).await.map(Json::of)
}

async fn add(
    service: Service,
    access: Allowed<AddRolePermission>,
    rql: Conditions<Roles>,
    JsonBody(body): JsonBody<RolePermissionChange>,
) -> Result<Json<AffectedRecords>> {
    service.add_role_permissions(access.caller(), &rql.query, &body.permissions).await.map(Json::of)
}

async fn remove(
    service: Service,
    _: Allowed<RemoveRolePermission>,
    rql: Conditions<Roles>,
    JsonBody(body): JsonBody<RolePermissionChange>,
) -> Result<Json<AffectedRecords>> {
    service.remove_role_permissions(&rql.query, &body.permissions).await.map(Json::of)
}

/// A role to create.
#[derive(Debug, ToSchema)]
pub struct RoleCreation {
    /// Its name, which no other role has.
    name: RoleName,
    /// What it is for.
    description: Option<AccountText>,
}

impl FromFields for RoleCreation {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self { name: fields.required("name")?, description: fields.optional("description")? })
    }
}

/// Permissions to add to roles, or to remove from them.
#[derive(Debug, ToSchema)]
pub struct RolePermissionChange {
    /// Their names, at least one.
    permissions: Permissions,
}

impl FromFields for RolePermissionChange {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        let permissions: Permissions = fields.required("permissions")?;
        if permissions.iter().next().is_none() {
            return Err(Error::field_format("permissions", "must name at least one permission"));
        }
        Ok(Self { permissions })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.task
    }
}
