//! Who is calling, and what they may do.

use std::{collections::BTreeSet, fmt, ops::Deref};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FunctionName, ObjectId, Timestamp};

/// Who is calling, as their credential showed. A bad credential is an error before there is a `Caller` (contract §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// No credential.
    Nobody,
    /// An application that signed its request, with nobody logged in (an OAuth 1.0a consumer without a token).
    Application(ApplicationId),
    /// A user.
    User(User),
}

impl Caller {
    /// The user's identity, when somebody is logged in.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::User(user) => Some(&user.identity),
            Self::Nobody | Self::Application(_) => None,
        }
    }

    /// The user's id, when somebody is logged in.
    pub fn user_id(&self) -> Option<&UserId> {
        self.identity().map(|identity| &identity.user_id)
    }

    /// The application that the call came through, when the credential names one.
    pub fn application_id(&self) -> Option<&ApplicationId> {
        match self {
            Self::Nobody => None,
            Self::Application(id) => Some(id),
            Self::User(user) => user.identity.application_id.as_ref(),
        }
    }
}

/// A user who is logged in, and what they logged in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who they are, and what they may do.
    pub identity: Identity,
    /// When what they logged in with expires, if it does.
    pub expires: Option<Timestamp>,
    /// The credential of this service that they logged in with; absent for a token of an OIDC issuer.
    pub credential: Option<Lineage>,
}

impl Deref for User {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

impl From<Identity> for User {
    /// A user who logged in with something that never expires and that this service did not issue.
    fn from(identity: Identity) -> Self {
        Self { identity, expires: None, credential: None }
    }
}

/// A credential and those that it descends from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The credential.
    pub id: ObjectId,
    /// The credential that it was created with comes last, before that the one that created that one, and so on.
    pub ancestors: Vec<ObjectId>,
}

impl Lineage {
    /// The most ancestors that a credential may have.
    pub const MOST_ANCESTORS: usize = 16;

    /// The ancestors of a credential that is created with this one; `None` past [`Lineage::MOST_ANCESTORS`].
    pub fn of_child(&self) -> Option<Vec<ObjectId>> {
        let ancestors: Vec<_> = self.ancestors.iter().copied().chain([self.id]).collect();
        (ancestors.len() <= Self::MOST_ANCESTORS).then_some(ancestors)
    }
}

/// A logged-in user: `{userId, applicationId?, permissions}` (contract §7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The user.
    pub user_id: UserId,
    /// The application that they are logged in through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub application_id: Option<ApplicationId>,
    /// What they may do.
    pub permissions: Permissions,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, min_length = 1, max_length = 128)]
        pub struct $name(String);

        impl $name {
            /// Takes 1–128 visible ASCII characters: it travels in a header.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidCallerName> {
                let text = text.into();
                let fits = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
                if fits { Ok(Self(text)) } else { Err(InvalidCallerName) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidCallerName;
            fn try_from(text: String) -> Result<Self, InvalidCallerName> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

/// Why a text is no [`UserId`], [`ApplicationId`] or [`Permission`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 visible ASCII characters without spaces")]
pub struct InvalidCallerName;

name_type! {
    /// The id of a user, as whoever knows users (the administrator, an OIDC issuer) gave it.
    UserId
}
name_type! {
    /// The id of an application that users log in through.
    ApplicationId
}

/// A global permission: the ones that endpoints ask for (contract §3), by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Permission {
    ViewTasks,
    CreateTasks,
    CancelTasks,
    ViewTaskLogs,
    ViewTaskFunctions,
    CreateTaskFunction,
    ViewTaskFunctionDetails,
    UpdateTaskFunction,
    DeleteTaskFunction,
    ExecuteTaskFunction,
    ViewTaskFunctionLogs,
    ExecuteApiFunction,
    ViewApiFunctionRequests,
    ViewApiFunctionRequestLogs,
    ViewTaskSchedules,
    CreateTaskSchedule,
    DeleteTaskSchedule,
    ViewCredentials,
    CreateCredentials,
    DeleteCredentials,
    CreateCredentialsForOthers,
}

impl Permission {
    /// Which permissions there are: the number of times that some were added, the first ones included. A credential
    /// holds what it was given, so a name that meant nothing then must not mean something later.
    pub const VOCABULARY: u32 = 2;

    /// Every permission.
    pub const ALL: [Self; 21] = [
        Self::ViewTasks,
        Self::CreateTasks,
        Self::CancelTasks,
        Self::ViewTaskLogs,
        Self::ViewTaskFunctions,
        Self::CreateTaskFunction,
        Self::ViewTaskFunctionDetails,
        Self::UpdateTaskFunction,
        Self::DeleteTaskFunction,
        Self::ExecuteTaskFunction,
        Self::ViewTaskFunctionLogs,
        Self::ExecuteApiFunction,
        Self::ViewApiFunctionRequests,
        Self::ViewApiFunctionRequestLogs,
        Self::ViewTaskSchedules,
        Self::CreateTaskSchedule,
        Self::DeleteTaskSchedule,
        Self::ViewCredentials,
        Self::CreateCredentials,
        Self::DeleteCredentials,
        Self::CreateCredentialsForOthers,
    ];

    /// The [`Permission::VOCABULARY`] that this one came with.
    pub fn since(self) -> u32 {
        match self {
            Self::ViewTasks
            | Self::CreateTasks
            | Self::CancelTasks
            | Self::ViewTaskLogs
            | Self::ViewTaskFunctions
            | Self::CreateTaskFunction
            | Self::ViewTaskFunctionDetails
            | Self::UpdateTaskFunction
            | Self::DeleteTaskFunction
            | Self::ExecuteTaskFunction
            | Self::ViewTaskFunctionLogs
            | Self::ExecuteApiFunction
            | Self::ViewApiFunctionRequests
            | Self::ViewApiFunctionRequestLogs
            | Self::ViewTaskSchedules
            | Self::CreateTaskSchedule
            | Self::DeleteTaskSchedule
            | Self::ViewCredentials
            | Self::CreateCredentials
            | Self::DeleteCredentials => 1,
            Self::CreateCredentialsForOthers => 2,
        }
    }

    /// Whether it can be held for one Function alone, as `EXECUTE_TASK_FUNCTION:invoices`.
    fn is_per_function(self) -> bool {
        matches!(self, Self::ExecuteTaskFunction | Self::ExecuteApiFunction)
    }

    /// The permission that a name is about: all of it, or what stands before its `:`.
    fn named_by(name: &str) -> Option<Self> {
        let global = name.split_once(':').map_or(name, |(global, _)| global);
        Self::ALL.into_iter().find(|permission| permission.as_str() == global)
    }

    /// The name that credentials hold.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ViewTasks => "VIEW_TASKS",
            Self::CreateTasks => "CREATE_TASKS",
            Self::CancelTasks => "CANCEL_TASKS",
            Self::ViewTaskLogs => "VIEW_TASK_LOGS",
            Self::ViewTaskFunctions => "VIEW_TASK_FUNCTIONS",
            Self::CreateTaskFunction => "CREATE_TASK_FUNCTION",
            Self::ViewTaskFunctionDetails => "VIEW_TASK_FUNCTION_DETAILS",
            Self::UpdateTaskFunction => "UPDATE_TASK_FUNCTION",
            Self::DeleteTaskFunction => "DELETE_TASK_FUNCTION",
            Self::ExecuteTaskFunction => "EXECUTE_TASK_FUNCTION",
            Self::ViewTaskFunctionLogs => "VIEW_TASK_FUNCTION_LOGS",
            Self::ExecuteApiFunction => "EXECUTE_API_FUNCTION",
            Self::ViewApiFunctionRequests => "VIEW_API_FUNCTION_REQUESTS",
            Self::ViewApiFunctionRequestLogs => "VIEW_API_FUNCTION_REQUEST_LOGS",
            Self::ViewTaskSchedules => "VIEW_TASK_SCHEDULES",
            Self::CreateTaskSchedule => "CREATE_TASK_SCHEDULE",
            Self::DeleteTaskSchedule => "DELETE_TASK_SCHEDULE",
            Self::ViewCredentials => "VIEW_CREDENTIALS",
            Self::CreateCredentials => "CREATE_CREDENTIALS",
            Self::DeleteCredentials => "DELETE_CREDENTIALS",
            Self::CreateCredentialsForOthers => "CREATE_CREDENTIALS_FOR_OTHERS",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The permissions that a credential holds: names such as `VIEW_TASKS` or `EXECUTE_TASK_FUNCTION:invoices`.
///
/// An OIDC issuer may list names that mean nothing here: they open nothing. A credential of this service is created
/// without such names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Vec<String>, example = json!(["VIEW_TASKS", "EXECUTE_TASK_FUNCTION:invoices"]))]
pub struct Permissions(BTreeSet<String>);

impl Permissions {
    /// No permission at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every global permission: an administrator.
    pub fn all() -> Self {
        Self(Permission::ALL.iter().map(|permission| permission.to_string()).collect())
    }

    /// Takes names of 1–128 visible ASCII characters each.
    pub fn parse<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, InvalidCallerName> {
        names
            .into_iter()
            .map(Into::into)
            .map(|name| {
                let fits = (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
                if fits { Ok(name) } else { Err(InvalidCallerName) }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Checks that each name is that of a permission, or of one for a single Function.
    pub fn check_known(&self) -> Result<(), UnknownPermission> {
        self.iter().try_for_each(check_known)
    }

    /// The [`Permission::VOCABULARY`] that the youngest of these came with.
    pub fn vocabulary(&self) -> u32 {
        self.iter().filter_map(Permission::named_by).map(Permission::since).max().unwrap_or(1)
    }

    /// What of these counts where the permissions given out were those of this [`Permission::VOCABULARY`]: a name that
    /// only came later was not meant.
    #[must_use]
    pub fn given_at(self, vocabulary: u32) -> Self {
        let meant = |name: &String| Permission::named_by(name).is_none_or(|known| known.since() <= vocabulary);
        Self(self.0.into_iter().filter(meant).collect())
    }

    /// The first of the other names that is not held here, neither itself nor as the global permission that covers it.
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

/// A name that is not that of a permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is not a permission{}", self.hint())]
pub struct UnknownPermission {
    name: String,
    suggestion: Option<&'static str>,
}

impl UnknownPermission {
    fn hint(&self) -> String {
        if self.name.contains([',', ';', ' ']) {
            return "; give each permission as a name of its own".to_owned();
        }
        if let Some(suggestion) = self.suggestion {
            return match self.name.split_once(':') {
                Some((global, _)) if global == suggestion => {
                    format!(
                        "; only EXECUTE_TASK_FUNCTION and EXECUTE_API_FUNCTION can be given for one Function, so give {suggestion}"
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
        name: name.chars().take(64).collect(),
        suggestion: suggestion.map(|(_, permission)| permission.as_str()),
    })
}

/// How many characters have to be added, taken away or replaced to make one name of the other.
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
    fn a_name_that_is_not_a_permission_is_refused_with_what_was_meant() {
        let check = |name: &str| Permissions::parse([name]).unwrap().check_known().map_err(|error| error.to_string());
        for known in ["VIEW_TASKS", "EXECUTE_TASK_FUNCTION", "EXECUTE_TASK_FUNCTION:a", "EXECUTE_API_FUNCTION:a-B_1"] {
            assert_eq!(check(known), Ok(()), "{known}");
        }
        for (unknown, hint) in [
            ("VIEW_TASK", "did you mean VIEW_TASKS?"),
            ("view_tasks", "did you mean VIEW_TASKS?"),
            ("VIEW-TASKS", "did you mean VIEW_TASKS?"),
            ("EXECUTE_TASK_FUNCTIONS:a", "did you mean EXECUTE_TASK_FUNCTION?"),
            ("VIEW_TASKS,CREATE_TASKS", "a name of its own"),
            ("VIEW_TASKS,", "a name of its own"),
            ("VIEW_TASKS:invoices", "so give VIEW_TASKS"),
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
    fn a_name_that_became_a_permission_later_was_not_given() {
        let names = ["VIEW_TASKS", "CREATE_CREDENTIALS_FOR_OTHERS", "CREATE_CREDENTIALS_FOR_OTHERS:x", "UNKNOWN"];
        let given = |vocabulary| Permissions::parse(names).unwrap().given_at(vocabulary);
        assert_eq!(given(1).iter().collect::<Vec<_>>(), ["UNKNOWN", "VIEW_TASKS"]);
        assert!(given(Permission::VOCABULARY).hold(Permission::CreateCredentialsForOthers));
        assert_eq!(Permissions::all().vocabulary(), Permission::VOCABULARY);
        assert_eq!(Permissions::parse(["VIEW_TASKS", "UNKNOWN"]).unwrap().vocabulary(), 1);
    }

    #[test]
    fn a_permission_for_one_function_opens_no_other() {
        let permissions = Permissions::parse(["EXECUTE_TASK_FUNCTION:invoices"]).unwrap();
        let (invoices, invoices2) =
            (FunctionName::parse("invoices").unwrap(), FunctionName::parse("invoices2").unwrap());
        assert!(permissions.hold_for(Permission::ExecuteTaskFunction, &invoices));
        assert!(!permissions.hold_for(Permission::ExecuteTaskFunction, &invoices2));
        assert!(!permissions.hold_for(Permission::ExecuteApiFunction, &invoices));
        assert!(!permissions.hold(Permission::ExecuteTaskFunction));
    }
}
