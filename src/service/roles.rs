//! Roles: list, create, change (contract §21). Nobody gives a role what they do not hold.

use std::time::Duration;

use serde::Serialize;
use tasklane_model::{
    AccountText, AffectedRecords, Caller, Error, ErrorKind, Json, ObjectId, Page, Permission, Permissions, Result,
    Role, RoleName, RolePermissions, Timestamp,
};
use tasklane_rql::Query;
use tasklane_store::{Entered, Revised};
use tracing::info;
use utoipa::ToSchema;

use super::{
    Service,
    short_lists::{matches, page_of},
};

/// The most roles of a service.
const MOST_ROLES: u32 = 1000;
/// The most roles or users that one call changes.
pub(super) const MOST_AT_ONCE: usize = 25;
/// How long people may register after an administrator created or changed a role.
pub(super) const OPEN_FOR: Duration = Duration::from_secs(120);

/// A change of a record, which may be made again after another caller was faster.
pub(super) type ChangeOf<'a, T> = &'a (dyn Fn(&mut T) -> Result<()> + Sync);

/// A role to be created.
#[derive(Clone, Debug)]
pub struct NewRole {
    /// Its name.
    pub name: RoleName,
    /// What it is for.
    pub description: AccountText,
}

/// A named set of permissions. Users who have it hold them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Role)]
pub struct ShownRole {
    /// Its id.
    pub id: ObjectId,
    /// Its name, which no other role has.
    pub name: RoleName,
    /// What it is for.
    pub description: AccountText,
    /// What is in it.
    pub permissions: Vec<ShownPermission>,
    /// When it was created.
    pub creation_timestamp: Timestamp,
    /// When it last changed.
    pub update_timestamp: Timestamp,
}

/// A permission in a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RolePermission)]
pub struct ShownPermission {
    /// Its name.
    pub name: String,
    /// The name again, or that it grants nothing.
    pub description: String,
    /// `false` if it was no permission of this service when it was added: then it grants nothing. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<bool>,
}

impl From<&Role> for ShownRole {
    fn from(role: &Role) -> Self {
        let shown = |name: &str| {
            let grants = role.permissions.grants(name);
            let description = if grants {
                name.to_owned()
            } else {
                "Grants nothing: it was no permission of this service.".to_owned()
            };
            ShownPermission { name: name.to_owned(), description, grants: (!grants).then_some(false) }
        };
        Self {
            id: role.id,
            name: role.name.clone(),
            description: role.description.clone(),
            permissions: role.permissions.names().map(shown).collect(),
            creation_timestamp: role.creation_timestamp,
            update_timestamp: role.update_timestamp,
        }
    }
}

impl Service {
    /// The roles that match, the oldest first.
    pub async fn list_roles(&self, query: &Query) -> Result<Page<Json>> {
        let roles = self.inner.store.accounts.roles().await?;
        page_of(roles.iter().map(|role| ShownRole::from(&role.value)), query)
    }

    /// Creates a role that grants nothing yet; 17 when the name is taken, 27 when there are too many.
    pub async fn create_role(&self, new: NewRole) -> Result<ShownRole> {
        let role = self.new_role(new);
        self.enter_role(&role, Some(OPEN_FOR)).await?;
        Ok(ShownRole::from(&role))
    }

    /// Adds permissions to the roles that match; 10 when the caller lacks one of them, 16 when no role matches. Names that
    /// are no permissions of this service are kept and grant nothing.
    pub async fn add_role_permissions(
        &self,
        caller: &Caller,
        query: &Query,
        names: &Permissions,
    ) -> Result<AffectedRecords> {
        may_grant(caller, names)?;
        self.change_roles(query, &|role| {
            role.permissions.add(names);
            check_size(&role.permissions)
        })
        .await
    }

    /// Removes permissions from the roles that match, whether or not they are in them; 16 when no role matches.
    pub async fn remove_role_permissions(&self, query: &Query, names: &Permissions) -> Result<AffectedRecords> {
        self.change_roles(query, &|role| {
            role.permissions.remove(names);
            Ok(())
        })
        .await
    }

    /// The record of a new role.
    pub(super) fn new_role(&self, NewRole { name, description }: NewRole) -> Role {
        let now = self.now();
        Role {
            id: self.inner.ports.ids.next(now),
            name,
            description,
            permissions: RolePermissions::default(),
            creation_timestamp: now,
            update_timestamp: now,
        }
    }

    /// Adds a role, after which people may register for this long.
    pub(super) async fn enter_role(&self, role: &Role, open_for: Option<Duration>) -> Result<()> {
        let accounts = &self.inner.store.accounts;
        let mut tries = self.tries();
        loop {
            let mut registry = accounts.registry().await?;
            if registry.value.roles >= MOST_ROLES {
                let message = format!("There are {MOST_ROLES} roles, and there cannot be more: use one of those.");
                return Err(Error::new(ErrorKind::IllegalState, message));
            }
            registry.value.roles += 1;
            self.open_registration(&mut registry.value, open_for);
            match accounts.create_role(role, &registry).await? {
                Entered::Done => break,
                Entered::Taken => {
                    let message = format!("There is a role '{}' already.", role.name);
                    return Err(Error::new(ErrorKind::ResourceAlreadyExists, message));
                }
                Entered::Outdated => self.again(&mut tries).await?,
            }
        }
        info!(role = %role.name, "role created");
        Ok(())
    }

    pub(super) fn open_registration(&self, registry: &mut tasklane_store::Registry, open_for: Option<Duration>) {
        if let Some(open_for) = open_for {
            let until = self.now().saturating_add(open_for);
            registry.open_until = registry.open_until.max(Some(until));
        }
    }

    async fn change_roles(&self, query: &Query, change: ChangeOf<'_, Role>) -> Result<AffectedRecords> {
        must_select(query)?;
        let accounts = &self.inner.store.accounts;
        let mut tries = self.tries();
        loop {
            let mut roles: Vec<Revised<Role>> = Vec::new();
            for mut role in accounts.roles().await? {
                if matches(&ShownRole::from(&role.value), query)? {
                    change(&mut role.value)?;
                    role.value.update_timestamp = self.now();
                    roles.push(role);
                }
            }
            must_be_few("role", roles.len(), query)?;
            let mut registry = accounts.registry().await?;
            self.open_registration(&mut registry.value, Some(OPEN_FOR));
            if accounts.update_roles(&roles, &registry).await? {
                let names: Vec<_> = roles.iter().map(|role| role.value.name.as_str()).collect();
                info!(roles = names.join(", "), "roles changed");
                return Ok(AffectedRecords { affected_records: roles.len() as u64 });
            }
            self.again(&mut tries).await?;
        }
    }
}

/// Checks that the caller holds each of these names that grants something (10). Names of other services grant nothing, so
/// nobody holds them.
pub(super) fn may_grant(caller: &Caller, names: &Permissions) -> Result<()> {
    let held = &caller.identity().ok_or_else(|| caller.refusal())?.permissions;
    let known = names.iter().filter(|name| Permission::granted_by(name).is_some());
    let known = Permissions::parse(known).map_err(Error::internal)?;
    held.first_lacking(&known).map_or(Ok(()), |lacking| Err(Error::no_permission(lacking)))
}

/// A role has at most [`RolePermissions::MOST`] names (26).
pub(super) fn check_size(permissions: &RolePermissions) -> Result<()> {
    if permissions.count() <= RolePermissions::MOST {
        return Ok(());
    }
    let message = format!("A role has at most {} permissions.", RolePermissions::MOST);
    Err(Error::new(ErrorKind::IllegalArgument, message))
}

/// A change needs conditions (20): nobody means everything.
pub(super) fn must_select(query: &Query) -> Result<()> {
    if query.filter.is_some() {
        return Ok(());
    }
    let message = "Say in the query string which ones to change, such as eq(name,editors).";
    Err(Error::new(ErrorKind::EmptyRql, message))
}

/// A change is of at least one record (16) and of few (26).
pub(super) fn must_be_few(what: &str, count: usize, query: &Query) -> Result<()> {
    match count {
        0 => Err(Error::unknown(what, format!("with {}", query.text))),
        1..=MOST_AT_ONCE => Ok(()),
        _ => {
            let message =
                format!("{count} {what}s match, and at most {MOST_AT_ONCE} can be changed at once: select fewer.");
            Err(Error::new(ErrorKind::IllegalArgument, message))
        }
    }
}
