//! Roles: named sets of permissions that accounts have (contract §21).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AccountText, ObjectId, Permission, Permissions, Timestamp, text::checked_text};

/// A set of permissions with a name. Accounts that have it hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its id.
    pub id: ObjectId,
    /// Its name, which no other role has.
    pub name: RoleName,
    /// What it is for.
    pub description: AccountText,
    /// The names in it, and what they grant.
    pub permissions: RolePermissions,
    /// When it was created.
    pub creation_timestamp: Timestamp,
    /// When it last changed.
    pub update_timestamp: Timestamp,
}

/// The name of a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 128, example = "exh.tasks.invoices")]
pub struct RoleName(String);

/// The string is not a valid [`RoleName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 characters, without control characters")]
pub struct InvalidRoleName;

impl RoleName {
    /// Accepts 1–128 characters that are no control characters.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidRoleName> {
        let text = text.into();
        let fits = (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(InvalidRoleName) }
    }
}

checked_text!(RoleName, InvalidRoleName);

/// The names in a role. A name that was no permission of this service when it was added grants nothing, even if a later
/// version has a permission of this name, until somebody who holds that permission adds it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RolePermissions(BTreeMap<String, Vocabulary>);

/// The [`Permission::VOCABULARY`] that a name was granted at; 0 if it was no permission.
type Vocabulary = u32;

impl RolePermissions {
    /// The most names in one role.
    pub const MOST: usize = 500;

    /// Adds names. One that grants already goes on to do so.
    pub fn add(&mut self, names: &Permissions) {
        for name in names.iter() {
            let at = Permission::granted_by(name).map_or(0, |_| Permission::VOCABULARY);
            let held = self.0.entry(name.to_owned()).or_default();
            *held = at.max(*held);
        }
    }

    /// Removes names, whether or not they are there.
    pub fn remove(&mut self, names: &Permissions) {
        names.iter().for_each(|name| {
            self.0.remove(name);
        });
    }

    /// What the names grant.
    pub fn granted(&self) -> Permissions {
        let names = self.0.keys().filter(|name| self.grants(name)).cloned();
        // Each name was checked before it was added.
        Permissions::parse(names).unwrap_or_default()
    }

    /// Whether this name is there and grants something.
    pub fn grants(&self, name: &str) -> bool {
        let since = Permission::granted_by(name).map(Permission::since);
        matches!((self.0.get(name), since), (Some(granted), Some(since)) if since <= *granted)
    }

    /// Every name, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many names there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Permissions {
        Permissions::parse(names.iter().copied()).unwrap()
    }

    #[test]
    fn a_role_keeps_every_name_and_grants_what_this_service_knows() {
        let mut role = RolePermissions::default();
        role.add(&names(&["VIEW_TASKS", "VIEW_DOCUMENTS:notes", "VIEW_TASKS:x", "EXECUTE_TASK_FUNCTION:a"]));
        assert_eq!(role.count(), 4);
        assert_eq!(role.granted(), names(&["EXECUTE_TASK_FUNCTION:a", "VIEW_TASKS"]));
        role.remove(&names(&["VIEW_TASKS", "NOT_THERE"]));
        assert_eq!(role.granted(), names(&["EXECUTE_TASK_FUNCTION:a"]));
    }

    /// As an older version wrote it, for which `VIEW_ROLE` was a name of another service.
    #[test]
    fn a_name_that_became_a_permission_later_grants_nothing_until_it_is_added_again() {
        for unknown in [r#"{"VIEW_ROLE":0,"VIEW_TASKS":2}"#, r#"{"VIEW_ROLE":2,"VIEW_TASKS":1}"#] {
            let mut role: RolePermissions = serde_json::from_str(unknown).unwrap();
            assert_eq!(role.granted(), names(&["VIEW_TASKS"]), "{unknown}");
            role.add(&names(&["VIEW_ROLE"]));
            assert_eq!(role.granted(), names(&["VIEW_ROLE", "VIEW_TASKS"]));
        }
    }

    /// As a newer version wrote it, whose permissions this one does not know.
    #[test]
    fn what_a_newer_version_granted_stays_granted() {
        let newer = r#"{"VIEW_DOCUMENTS":99}"#;
        let mut role: RolePermissions = serde_json::from_str(newer).unwrap();
        assert_eq!(role.granted(), Permissions::none());
        role.add(&names(&["VIEW_DOCUMENTS"]));
        assert_eq!(serde_json::to_string(&role).unwrap(), newer);
    }
}
