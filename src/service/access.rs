//! Who may run a Function directly (contract §6).

use std::sync::Arc;

use tasklane_model::{
    Caller, Error, ErrorKind, Function, FunctionName, Permission, PermissionMode, Result, TimeLimit, shorten,
};

use super::Service;

/// How current the record of a Function must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Up to two seconds old, without a read of the store.
    Lately,
    /// Read now, so that every change that was made before is seen, in whichever process it was made.
    Now,
}

impl Service {
    /// Checks whether this caller may run the Function, before its input is read. A cached record never refuses a
    /// direct execution.
    pub async fn may_run(&self, caller: &Caller, name: &str, permission: Permission) -> Result<()> {
        match self.runnable(caller, name, permission, Known::Lately).await {
            Err(_) if permission == Permission::ExecuteTaskFunction => {
                self.runnable(caller, name, permission, Known::Now).await.map(|_| ())
            }
            known => known.map(|_| ()),
        }
    }

    /// The Function, if this caller may run it; `permission` allows it in every mode.
    ///
    /// Only callers who could run the Function learn that it does not exist; otherwise others could probe for names.
    pub(super) async fn runnable(
        &self,
        caller: &Caller,
        name: &str,
        permission: Permission,
        known: Known,
    ) -> Result<Arc<Function>> {
        let Ok(name) = FunctionName::parse(name) else {
            // No Function can have this name, so only the global permission can cover it.
            let held = caller.identity().is_some_and(|identity| identity.permissions.hold(permission));
            return Err(if held { Error::unknown("function", shorten(name)) } else { refusal(caller, permission) });
        };
        let held = caller.identity().is_some_and(|identity| identity.permissions.hold_for(permission, &name));
        let functions = &self.inner.functions;
        let found = match known {
            Known::Now => functions.read(&name).await?,
            Known::Lately => match functions.find(&name).await? {
                // "Does not exist" must be current.
                None if held => functions.read(&name).await?,
                found => found,
            },
        };
        let function = match found {
            Some(function) => function,
            None if held => return Err(Error::unknown("function", name)),
            None => return Err(refusal(caller, permission)),
        };
        let allowed = match function.execution_options.permission_mode {
            PermissionMode::Public => true,
            PermissionMode::AllUsers => caller.identity().is_some(),
            PermissionMode::PermissionRequired => held,
        };
        if allowed { Ok(function) } else { Err(refusal(caller, permission)) }
    }
}

/// A disabled Function cannot run (27).
pub(super) fn must_be_enabled(function: &Function) -> Result<()> {
    if function.enabled {
        return Ok(());
    }
    let message = format!("The function '{}' is disabled; enable it to run it.", function.name);
    Err(Error::new(ErrorKind::IllegalState, message))
}

/// A Function that may run longer than a caller can wait must not be run while one waits. `rule` is followed by the limit.
pub(super) fn must_be_short(function: &Function, refusal: ErrorKind, rule: &str) -> Result<()> {
    let (limit, longest) = (function.configuration.time_limit, TimeLimit::LONGEST_DIRECT);
    if limit <= longest {
        return Ok(());
    }
    Err(Error::new(refusal, format!("The function's time limit is {limit} s. {rule} {longest} s.")))
}

fn refusal(caller: &Caller, permission: Permission) -> Error {
    match caller.identity() {
        None => caller.refusal(),
        Some(_) => Error::no_permission(format!("{permission} or {permission}:<the function's name>")),
    }
}
