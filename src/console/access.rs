//! Who the caller is, and what they may do: what they may not do is not offered.

use tasklane_client::Me;
use tasklane_model::{FunctionName, Permission, Permissions};

/// The caller whose credential the console uses.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) user: String,
    /// `None` if the service does not say: then everything is offered, and the service decides.
    pub(crate) permissions: Option<Permissions>,
}

impl Access {
    /// Nobody: the service does not say who the caller is.
    pub(crate) fn unknown() -> Self {
        Self { user: "unknown".to_owned(), permissions: Some(Permissions::none()) }
    }

    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.permissions.as_ref().is_none_or(|held| held.hold(permission))
    }

    /// Whether the caller may execute this Function. A Function may allow everybody, which is not looked at here.
    pub(crate) fn may_execute(&self, function: &FunctionName) -> bool {
        self.permissions.as_ref().is_none_or(|held| held.hold_for(Permission::ExecuteTaskFunction, function))
    }
}

impl From<Me> for Access {
    fn from(me: Me) -> Self {
        Self { user: me.id.to_string(), permissions: me.permissions }
    }
}
