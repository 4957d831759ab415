//! The property `executionCredentials`.

use serde_json::Value;
use tasklane_model::{EmailAddress, Environment, Permissions, RolePermissions};

use super::Check;
use crate::{CREDENTIAL_VARIABLES, ExecutionCredentials};

/// The properties of `executionCredentials`.
pub(crate) const PROPERTIES: &[&str] = &["permissions", "email"];

impl Check {
    /// Names that are no permissions of this service are kept, because a file may be for another one as well.
    pub(super) fn execution_credentials(&mut self, value: &Value) -> Option<ExecutionCredentials> {
        let properties = self.object("executionCredentials", value)?;
        self.names("executionCredentials.", properties, PROPERTIES);
        let permissions = match properties.get("permissions") {
            Some(value) => self.role_permissions(value),
            None => self.refuse("executionCredentials", "must have 'permissions', which may be an empty list"),
        };
        let email = match properties.get("email") {
            None => Some(None),
            Some(value) => self.parsed("executionCredentials.email", value, |text| EmailAddress::parse(text)).map(Some),
        };
        Some(ExecutionCredentials { permissions: permissions?, email: email? })
    }

    fn role_permissions(&mut self, value: &Value) -> Option<Permissions> {
        const PROPERTY: &str = "executionCredentials.permissions";
        let names = value.as_array().and_then(|names| names.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        let Some(names) = names else { return self.refuse(PROPERTY, "must be a list of strings") };
        if names.len() > RolePermissions::MOST {
            return self.refuse(PROPERTY, format!("must have at most {} names", RolePermissions::MOST));
        }
        match Permissions::parse(names) {
            Ok(permissions) => Some(permissions),
            Err(rule) => self.refuse(PROPERTY, format!("contains an invalid permission: each {rule}")),
        }
    }

    /// What `executionCredentials` sets must not come from `environment` as well.
    pub(super) fn sets_credentials_once(&mut self, environment: &Environment) {
        for (name, _) in environment.iter().filter(|(name, _)| CREDENTIAL_VARIABLES.contains(name)) {
            let _: Option<()> =
                self.refuse(&format!("environment.{name}"), "is set by 'executionCredentials': remove one of them");
        }
    }
}
