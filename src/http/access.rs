//! Access rules. A handler names its rule in the type of its argument, so no handler can be written without the check
//! (contract §3, §6).

use std::marker::PhantomData;

use tasklane_model::{Application, Caller, Error, ErrorKind, Identity, Permission, Result};
use tasklane_service::Service;

/// A caller who meets a rule. Only [`Access::admit`] makes values of these types.
pub trait Access: Sized + Send + 'static {
    /// The rule, for the API document.
    const RULE: AccessRule;

    /// Checks the caller against the rule.
    fn admit(caller: Caller) -> Result<Self>;

    /// Checks the caller against the Function in the path, where the rule depends on it. Called before the body is
    /// read.
    fn admit_to(&self, _: &Service, _: Option<&str>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Whether the caller is anonymous.
    fn is_anonymous(&self) -> bool {
        false
    }
}

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessRule {
    /// Anybody. A credential, if sent, must be valid.
    Anybody,
    /// Any logged-in user, and an account without a role, which may learn only who it is.
    LoggedIn,
    /// An application alone: a request that a consumer signed without a token.
    Application,
    /// Users with the global permission.
    Permission(Permission),
    /// Depends on the Function's permission mode. Where that requires a permission, it is this one, held globally or
    /// for that Function. The service checks it, because it knows the Function.
    PermissionMode(Permission),
}

/// A permission as a type, so that a handler's signature can name it.
pub trait PermissionType: Send + Sync + 'static {
    const PERMISSION: Permission;
}

macro_rules! permission_types {
    ($($name:ident = $text:literal, $since:literal;)*) => {
        /// Each permission as a type.
        pub mod permission {
            $(
                #[doc = concat!("[`Permission::", stringify!($name), "`](tasklane_model::Permission::", stringify!($name), ").")]
                #[derive(Debug)]
                #[allow(dead_code)] // some are checked in the service, and no endpoint asks for them
                pub enum $name {}
                impl super::PermissionType for $name {
                    const PERMISSION: tasklane_model::Permission = tasklane_model::Permission::$name;
                }
            )*
        }
    };
}

tasklane_model::permissions!(permission_types);

/// Anybody.
#[derive(Debug)]
pub struct Anybody(());

/// A logged-in user, or an account without a role: not for anything that must take a role.
#[derive(Debug)]
pub struct LoggedIn(Identity);

/// An application alone, without a user.
#[derive(Debug)]
pub struct ApplicationAlone(Application);

/// A caller who holds the permission `P`.
#[derive(Debug)]
pub struct Allowed<P> {
    caller: Caller,
    permission: PhantomData<fn() -> P>,
}

/// Any caller. The service checks them against the Function's permission mode and `P`.
#[derive(Debug)]
pub struct ByPermissionMode<P> {
    caller: Caller,
    permission: PhantomData<fn() -> P>,
}

impl LoggedIn {
    pub fn identity(&self) -> &Identity {
        &self.0
    }
}

impl ApplicationAlone {
    pub fn application(&self) -> &Application {
        &self.0
    }
}

impl<P> Allowed<P> {
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl<P> ByPermissionMode<P> {
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Access for Anybody {
    const RULE: AccessRule = AccessRule::Anybody;

    fn admit(_: Caller) -> Result<Self> {
        Ok(Self(()))
    }

    fn is_anonymous(&self) -> bool {
        true
    }
}

impl Access for LoggedIn {
    const RULE: AccessRule = AccessRule::LoggedIn;

    fn admit(caller: Caller) -> Result<Self> {
        match caller {
            Caller::User(user) | Caller::Roleless(user) => Ok(Self(user.identity)),
            Caller::Nobody | Caller::Application(_) => Err(Error::not_authenticated()),
        }
    }
}

impl Access for ApplicationAlone {
    const RULE: AccessRule = AccessRule::Application;

    fn admit(caller: Caller) -> Result<Self> {
        match caller {
            Caller::Application(application) => Ok(Self(application)),
            Caller::Nobody | Caller::Roleless(_) | Caller::User(_) => {
                let message =
                    "Sign the request with OAuth 1.0a, with the key and the secret of a consumer and without a token.";
                Err(Error::new(ErrorKind::ApplicationNotAuthenticated, message))
            }
        }
    }
}

impl<P: PermissionType> Access for Allowed<P> {
    const RULE: AccessRule = AccessRule::Permission(P::PERMISSION);

    fn admit(caller: Caller) -> Result<Self> {
        let identity = caller.identity().ok_or_else(|| caller.refusal())?;
        if !identity.permissions.hold(P::PERMISSION) {
            return Err(Error::no_permission(P::PERMISSION));
        }
        Ok(Self { caller, permission: PhantomData })
    }
}

impl<P: PermissionType> Access for ByPermissionMode<P> {
    const RULE: AccessRule = AccessRule::PermissionMode(P::PERMISSION);

    fn admit(caller: Caller) -> Result<Self> {
        Ok(Self { caller, permission: PhantomData })
    }

    async fn admit_to(&self, service: &Service, function: Option<&str>) -> Result<()> {
        match function {
            Some(function) => service.may_run(&self.caller, function, P::PERMISSION).await,
            None => Ok(()),
        }
    }

    fn is_anonymous(&self) -> bool {
        self.caller.identity().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::{permission::ViewTasks, *};
    use tasklane_model::{ApplicationId, ObjectId, Permissions, UserId};

    fn user(permissions: &[&str]) -> Caller {
        let identity = Identity {
            user_id: UserId::parse("ada").unwrap(),
            application_id: None,
            permissions: Permissions::parse(permissions.iter().copied()).unwrap(),
        };
        Caller::User(identity.into())
    }

    fn an_application() -> Caller {
        let id = ApplicationId::parse("app").unwrap();
        Caller::Application(Application { id, credential: ObjectId::LAST })
    }

    #[test]
    fn a_permission_admits_its_holders_and_is_named_to_others() {
        let refused = |caller| Allowed::<ViewTasks>::admit(caller).unwrap_err().kind();
        assert_eq!(refused(Caller::Nobody), ErrorKind::UserNotAuthenticated);
        assert_eq!(refused(an_application()), ErrorKind::UserNotAuthenticated);
        assert_eq!(refused(user(&[])), ErrorKind::NoPermission);
        assert_eq!(refused(user(&["CREATE_TASKS", "VIEW_TASKS:invoices", "view_tasks"])), ErrorKind::NoPermission);
        assert!(Allowed::<ViewTasks>::admit(user(&["VIEW_TASKS"])).is_ok());
    }

    #[test]
    fn an_application_alone_is_not_logged_in() {
        assert!(LoggedIn::admit(an_application()).is_err());
        assert!(LoggedIn::admit(user(&[])).is_ok());
    }
}
