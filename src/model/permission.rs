//! Permissions, and the set of them that a credential holds.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    FunctionName,
    caller_name::{self, InvalidCallerName},
    shorten,
};

/// Passes every permission to another macro, as `variant = name, vocabulary;`, so that code with one item for each
/// permission follows this list.
#[macro_export]
macro_rules! permissions {
    ($each:ident) => {
        $each! {
            ViewTasks = "VIEW_TASKS", 1;
            CreateTasks = "CREATE_TASKS", 1;
            CancelTasks = "CANCEL_TASKS", 1;
            ViewTaskLogs = "VIEW_TASK_LOGS", 1;
            ViewTaskFunctions = "VIEW_TASK_FUNCTIONS", 1;
            CreateTaskFunction = "CREATE_TASK_FUNCTION", 1;
            ViewTaskFunctionDetails = "VIEW_TASK_FUNCTION_DETAILS", 1;
            UpdateTaskFunction = "UPDATE_TASK_FUNCTION", 1;
            DeleteTaskFunction = "DELETE_TASK_FUNCTION", 1;
            ExecuteTaskFunction = "EXECUTE_TASK_FUNCTION", 1;
            ViewTaskFunctionLogs = "VIEW_TASK_FUNCTION_LOGS", 1;
            ExecuteApiFunction = "EXECUTE_API_FUNCTION", 1;
            ViewApiFunctionRequests = "VIEW_API_FUNCTION_REQUESTS", 1;
            ViewApiFunctionRequestLogs = "VIEW_API_FUNCTION_REQUEST_LOGS", 1;
            ViewTaskSchedules = "VIEW_TASK_SCHEDULES", 1;
            CreateTaskSchedule = "CREATE_TASK_SCHEDULE", 1;
            DeleteTaskSchedule = "DELETE_TASK_SCHEDULE", 1;
            ViewCredentials = "VIEW_CREDENTIALS", 1;
            CreateCredentials = "CREATE_CREDENTIALS", 1;
            DeleteCredentials = "DELETE_CREDENTIALS", 1;
            CreateCredentialsForOthers = "CREATE_CREDENTIALS_FOR_OTHERS", 2;
            ViewRole = "VIEW_ROLE", 3;
            CreateRole = "CREATE_ROLE", 3;
            AddRolePermission = "ADD_ROLE_PERMISSION", 3;
            RemoveRolePermission = "REMOVE_ROLE_PERMISSION", 3;
            ViewUser = "VIEW_USER", 3;
            AddRoleToUser = "ADD_ROLE_TO_USER", 3;
            RemoveRoleFromUser = "REMOVE_ROLE_FROM_USER", 3;
        }
    };
}

macro_rules! permission_enum {
    ($($variant:ident = $name:literal, $since:literal;)*) => {
        /// A global permission, which endpoints ask for (contract §3).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum Permission {
            $($variant,)*
        }

        impl Permission {
            /// Every permission.
            pub const ALL: [Self; [$($since),*].len()] = [$(Self::$variant),*];

            /// The [`Permission::VOCABULARY`] that added it.
            pub fn since(self) -> u32 {
                match self {
                    $(Self::$variant => $since,)*
                }
            }

            /// The name that credentials hold.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

permissions!(permission_enum);

impl Permission {
    /// The version of the list of permissions; adding to the list raises it. A credential records the version that it
    /// was created with, so that a name which meant nothing at that time never gains a meaning later.
    pub const VOCABULARY: u32 = 3;

    /// The permission that a name grants, globally or for a single Function; `None` if the name grants nothing.
    pub fn granted_by(name: &str) -> Option<Self> {
        check_known(name).ok().and_then(|()| Self::named_by(name))
    }

    /// Whether it can be granted for a single Function, such as `EXECUTE_TASK_FUNCTION:invoices`.
    fn is_per_function(self) -> bool {
        matches!(self, Self::ExecuteTaskFunction | Self::ExecuteApiFunction)
    }

    /// The permission that a name refers to: by the whole name, or by the part before its `:`.
    fn named_by(name: &str) -> Option<Self> {
        let global = name.split_once(':').map_or(name, |(global, _)| global);
        Self::ALL.into_iter().find(|permission| permission.as_str() == global)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The permissions that a credential holds: names such as `VIEW_TASKS` or `EXECUTE_TASK_FUNCTION:invoices`.
///
/// An OIDC issuer may list names that this service does not know: they grant nothing. This service refuses to create a
/// credential with such names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(description = described(), value_type = Vec<String>, example = json!(["VIEW_TASKS", "EXECUTE_TASK_FUNCTION:invoices"]))]
pub struct Permissions(BTreeSet<String>);

/// For the API document.
fn described() -> String {
    let names = Permission::ALL.map(Permission::as_str).join("`, `");
    format!(
        "The permissions that a credential holds: `{names}`. Those to execute a Function can be for one Function, such as \
         `EXECUTE_TASK_FUNCTION:invoices`.\n\nAn OIDC issuer may list names that this service does not know: they grant \
         nothing. This service refuses to create a credential with such names."
    )
}

impl Permissions {
    /// No permission at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every global permission: an administrator.
    pub fn all() -> Self {
        Self(Permission::ALL.iter().map(|permission| permission.to_string()).collect())
    }

    /// Accepts names of 1–128 visible ASCII characters each.
    pub fn parse<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, InvalidCallerName> {
        names.into_iter().map(|name| caller_name::check(name.into())).collect::<Result<_, _>>().map(Self)
    }

    /// Checks that each name is a permission, or a permission for a single Function.
    pub fn check_known(&self) -> Result<(), UnknownPermission> {
        self.iter().try_for_each(check_known)
    }

    /// The [`Permission::VOCABULARY`] that added the newest of them.
    pub fn vocabulary(&self) -> u32 {
        self.iter().filter_map(Permission::named_by).map(Permission::since).max().unwrap_or(1)
    }

    /// Only those that existed when the list of permissions had this [`Permission::VOCABULARY`]: a name that was added
    /// later was never granted.
    #[must_use]
    pub fn given_at(self, vocabulary: u32) -> Self {
        let meant = |name: &String| Permission::named_by(name).is_none_or(|known| known.since() <= vocabulary);
        Self(self.0.into_iter().filter(meant).collect())
    }

    /// These, and those.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Only those that `limit` holds, too, itself or through the global permission that covers it.
    #[must_use]
    pub fn within(&self, limit: &Self) -> Self {
        let covered = |holder: &Self, name: &str| {
            holder.0.contains(name) || Permission::named_by(name).is_some_and(|permission| holder.hold(permission))
        };
        // Either side may hold the wider name.
        let own = self.iter().filter(|name| covered(limit, name));
        let theirs = limit.iter().filter(|name| covered(self, name));
        Self(own.chain(theirs).map(str::to_owned).collect())
    }

    /// The first of these names that is not held here, neither itself nor through the global permission that covers it.
    pub fn first_lacking<'a>(&self, others: &'a Self) -> Option<&'a str> {
        others.iter().find(|name| {
            let covered = Permission::named_by(name).is_some_and(|permission| self.hold(permission));
            !covered && !self.0.contains(*name)
        })
    }

    /// Whether the global permission is held.
    pub fn hold(&self, permission: Permission) -> bool {
        self.0.contains(permission.as_str())
    }

    /// Whether the permission is held for this Function: globally, or as `PERMISSION:<name>`.
    pub fn hold_for(&self, permission: Permission, function: &FunctionName) -> bool {
        self.hold(permission) || self.0.contains(&format!("{permission}:{function}"))
    }

    /// The names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// A name that is not a permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is not a permission{}", self.hint())]
pub struct UnknownPermission {
    name: String,
    suggestion: Option<&'static str>,
}

impl UnknownPermission {
    /// The permission that was probably meant.
    pub fn suggestion(&self) -> Option<&'static str> {
        self.suggestion
    }

    fn hint(&self) -> String {
        if self.name.contains([',', ';', ' ']) {
            return "; list each permission separately".to_owned();
        }
        if let Some(suggestion) = self.suggestion {
            return match self.name.split_once(':') {
                Some((global, _)) if global == suggestion => {
                    format!(
                        "; only EXECUTE_TASK_FUNCTION and EXECUTE_API_FUNCTION can be granted for one Function, so use {suggestion}"
                    )
                }
                _ => format!("; did you mean {suggestion}?"),
            };
        }
        let names: Vec<_> = Permission::ALL.iter().map(|permission| permission.as_str()).collect();
        format!("; there are {}", names.join(", "))
    }
}

fn check_known(name: &str) -> Result<(), UnknownPermission> {
    let known = Permission::named_by(name);
    let is_known = match (known, name.split_once(':')) {
        (Some(_), None) => true,
        (Some(permission), Some((_, function))) => {
            permission.is_per_function() && FunctionName::parse(function).is_ok()
        }
        (None, _) => false,
    };
    if is_known {
        return Ok(());
    }
    let global = name.split_once(':').map_or(name, |(global, _)| global).to_ascii_uppercase().replace('-', "_");
    let closest = Permission::ALL.into_iter().map(|permission| (distance(&global, permission.as_str()), permission));
    let suggestion = closest.min_by_key(|(distance, _)| *distance).filter(|(distance, _)| *distance <= 3);
    Err(UnknownPermission {
        name: shorten(name).to_owned(),
        suggestion: suggestion.map(|(_, permission)| permission.as_str()),
    })
}

/// The edit distance: how many characters to add, remove or replace to turn one name into the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_permission_is_refused_with_a_suggestion() {
        let check = |name: &str| Permissions::parse([name]).unwrap().check_known().map_err(|error| error.to_string());
        for known in ["VIEW_TASKS", "EXECUTE_TASK_FUNCTION", "EXECUTE_TASK_FUNCTION:a", "EXECUTE_API_FUNCTION:a-B_1"] {
            assert_eq!(check(known), Ok(()), "{known}");
        }
        for (unknown, hint) in [
            ("VIEW_TASK", "did you mean VIEW_TASKS?"),
            ("view_tasks", "did you mean VIEW_TASKS?"),
            ("VIEW-TASKS", "did you mean VIEW_TASKS?"),
            ("EXECUTE_TASK_FUNCTIONS:a", "did you mean EXECUTE_TASK_FUNCTION?"),
            ("VIEW_TASKS,CREATE_TASKS", "each permission separately"),
            ("VIEW_TASKS,", "each permission separately"),
            ("VIEW_TASKS:invoices", "so use VIEW_TASKS"),
            ("*", "there are VIEW_TASKS, CREATE_TASKS"),
            ("SOME_FUTURE_PERMISSION", "there are VIEW_TASKS, CREATE_TASKS"),
            ("EXECUTE_TASK_FUNCTION:", ""),
            ("EXECUTE_TASK_FUNCTION:a/b", ""),
        ] {
            let error = check(unknown).unwrap_err();
            assert!(error.starts_with(&format!("'{unknown}' is not a permission")) && error.contains(hint), "{error}");
        }
    }

    #[test]
    fn a_name_that_became_a_permission_later_is_not_granted() {
        let names = ["VIEW_TASKS", "CREATE_CREDENTIALS_FOR_OTHERS", "CREATE_CREDENTIALS_FOR_OTHERS:x", "UNKNOWN"];
        let given = |vocabulary| Permissions::parse(names).unwrap().given_at(vocabulary);
        assert_eq!(given(1).iter().collect::<Vec<_>>(), ["UNKNOWN", "VIEW_TASKS"]);
        assert!(given(Permission::VOCABULARY).hold(Permission::CreateCredentialsForOthers));
        assert_eq!(Permissions::all().vocabulary(), Permission::VOCABULARY);
        assert_eq!(Permissions::parse(["VIEW_TASKS", "UNKNOWN"]).unwrap().vocabulary(), 1);
    }

    #[test]
    fn a_limit_keeps_what_both_sides_hold() {
        let within = |held: &[&str], limit: &[&str]| {
            let [held, limit] = [held, limit].map(|names| Permissions::parse(names.iter().copied()).unwrap());
            held.within(&limit).iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(within(&["VIEW_TASKS", "CREATE_TASKS"], &["VIEW_TASKS", "CANCEL_TASKS"]), ["VIEW_TASKS"]);
        let (wide, narrow) = (&["EXECUTE_TASK_FUNCTION"][..], &["EXECUTE_TASK_FUNCTION:a"][..]);
        assert_eq!(within(wide, narrow), narrow);
        assert_eq!(within(narrow, wide), narrow);
        assert!(within(narrow, &["EXECUTE_TASK_FUNCTION:b", "EXECUTE_API_FUNCTION"]).is_empty());
    }

    #[test]
    fn only_a_known_name_grants() {
        for name in ["VIEW_DOCUMENTS", "VIEW_TASKS:x", "EXECUTE_TASK_FUNCTION:", "*"] {
            assert_eq!(Permission::granted_by(name), None, "{name}");
        }
        assert_eq!(Permission::granted_by("EXECUTE_TASK_FUNCTION:a"), Some(Permission::ExecuteTaskFunction));
    }

    #[test]
    fn a_permission_for_one_function_grants_no_other() {
        let permissions = Permissions::parse(["EXECUTE_TASK_FUNCTION:invoices"]).unwrap();
        let (invoices, invoices2) =
            (FunctionName::parse("invoices").unwrap(), FunctionName::parse("invoices2").unwrap());
        assert!(permissions.hold_for(Permission::ExecuteTaskFunction, &invoices));
        assert!(!permissions.hold_for(Permission::ExecuteTaskFunction, &invoices2));
        assert!(!permissions.hold_for(Permission::ExecuteApiFunction, &invoices));
        assert!(!permissions.hold(Permission::ExecuteTaskFunction));
    }
}
