//! Who is calling, and what they may do.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::FunctionName;

/// Who is calling, as their credential showed. A bad credential is an error before there is a `Caller` (contract §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// No credential.
    Nobody,
    /// An application that signed its request, with nobody logged in (an OAuth 1.0a consumer without a token).
    Application(ApplicationId),
    /// A user.
    User(Identity),
}

impl Caller {
    /// The user's identity, when somebody is logged in.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::User(identity) => Some(identity),
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
            Self::User(identity) => identity.application_id.as_ref(),
        }
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
}

impl Permission {
    /// Every permission that an endpoint asks for.
    pub const ALL: [Self; 20] = [
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
    ];

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
/// Names that no endpoint asks for are kept: another service may share the credential.
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

#[cfg(test)]
mod tests {
    use super::*;

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
