//! The role, the user and the credential that a Function calls the service back with: `executionCredentials` of a
//! task-config.json, in one call (contract §21). The official CLI makes the same with many, so names are as it chooses them.

use serde::Serialize;
use tasklane_auth::{CredentialSource as _, OfAccount, StoredCredential, issue};
use tasklane_model::{
    Account, AccountText, Caller, EmailAddress, Error, ErrorKind, FunctionName, Identity, Password, Permission,
    Permissions, Result, Role, RoleName, User,
};
use tasklane_store::{Entered, Revised, StoredAccount};
use tracing::info;
use utoipa::ToSchema;

use super::{
    Service,
    accounts::{MOST_CREDENTIALS, NewAccount, may_hand_out, user_of},
    roles::{NewRole, check_size, may_grant},
};

/// What a Function shall be able to do.
#[derive(Clone, Debug)]
pub struct NewExecutionCredentials {
    /// The names in its role, and no others.
    pub permissions: Permissions,
    /// The address of its user; by default, as the official CLI makes it.
    pub email: Option<EmailAddress>,
    /// The consumer key and the token that the Function has.
    pub held: Option<HeldKeys>,
    /// Whether only to say what would be done.
    pub dry_run: bool,
}

/// The public parts of the keys that a Function has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldKeys {
    /// The consumer key.
    pub consumer_key: String,
    /// The token.
    pub token: String,
}

/// What was done, or what would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionCredentials {
    /// The name of the role.
    pub role: RoleName,
    /// The address of the user.
    pub email: EmailAddress,
    /// Whether the role is new.
    pub role_created: bool,
    /// What was added to the role.
    pub permissions_added: Vec<String>,
    /// What was removed from it.
    pub permissions_removed: Vec<String>,
    /// Whether the user is new.
    pub user_created: bool,
    /// Whether a user that existed got the role.
    pub role_given: bool,
    /// Whether the Function needs a new credential, because the token that it has is not a valid one of this user.
    pub credential_created: bool,
    /// The new credential. Absent with `dryRun`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<ExecutionKeys>,
}

/// The keys to sign requests with, which are shown only once.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionKeys {
    /// The consumer key. Public.
    pub consumer_key: String,
    /// The consumer secret.
    pub consumer_secret: String,
    /// The token. Public.
    pub token: String,
    /// The token secret.
    pub token_secret: String,
}

impl std::fmt::Debug for ExecutionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecutionKeys").field("token", &self.token).finish_non_exhaustive()
    }
}

impl ExecutionCredentials {
    /// Whether anything was done.
    pub fn differs(&self) -> bool {
        self.role_created
            || self.user_created
            || self.role_given
            || self.credential_created
            || !self.permissions_added.is_empty()
            || !self.permissions_removed.is_empty()
    }
}

/// The user that there is.
enum Found {
    Nobody,
    /// Somebody registered with the address and never got a role. Nobody vouches for them, so their place is taken.
    Squatter(StoredAccount),
    Account(Revised<StoredAccount>),
}

impl Service {
    /// Sees to it that a Function can do what these permissions allow, and nothing else. Repeating it changes nothing.
    ///
    /// 10 when the caller does not hold all of the permissions, or would act as a user who holds more than they do; 27 when the
    /// address belongs to a user who is not the Function's.
    pub async fn set_execution_credentials(
        &self,
        caller: &Caller,
        function: &FunctionName,
        wanted: NewExecutionCredentials,
    ) -> Result<ExecutionCredentials> {
        let Caller::User(user) = caller else { return Err(caller.refusal()) };
        may_grant(caller, &wanted.permissions)?;
        let default = || EmailAddress::parse(format!("exh.tasks+{function}@extrahorizon.com")).map_err(Error::internal);
        let email = wanted.email.clone().map_or_else(default, Ok)?;
        let name = RoleName::parse(format!("exh.tasks.{function}")).map_err(Error::internal)?;

        let mut done = ExecutionCredentials {
            role: name.clone(),
            email: email.clone(),
            role_created: false,
            permissions_added: vec![],
            permissions_removed: vec![],
            user_created: false,
            role_given: false,
            credential_created: false,
            keys: None,
        };
        // What is refused is refused before anything is written.
        let role = self.inner.store.accounts.role_named(&name).await?.map(|role| role.value);
        let plan = RolePlan::of(role.as_ref(), &wanted.permissions);
        plan.check(user)?;
        let found = self.user_with(&email).await?;
        let has_role = |account: &Account| role.as_ref().is_some_and(|role| account.roles.contains(&role.id));
        let has_token = match &found {
            Found::Account(found) => {
                let account = &found.value.account;
                let has_token = self.can_call_with(account, wanted.held.as_ref()).await?;
                if !has_token && !has_role(account) {
                    return Err(belongs_to_another(&email, &name));
                }
                self.may_act_as(caller, user, account, has_token).await?;
                done.role_given = !has_role(account);
                has_token
            }
            Found::Nobody | Found::Squatter(_) => {
                done.user_created = true;
                false
            }
        };
        if done.user_created || done.role_given {
            require(user, Permission::AddRoleToUser)?;
        }
        done.credential_created = !has_token;
        (done.role_created, done.permissions_added, done.permissions_removed) =
            (role.is_none(), plan.added, plan.removed);
        if wanted.dry_run || !done.differs() {
            return Ok(done);
        }
        let role = self.role_with(function, &name, &wanted.permissions).await?;
        let account = self.user_with_role(caller, function, &email, &role).await?;
        if done.credential_created {
            done.keys = Some(self.keys_of(user, &account).await?);
        }
        info!(%function, role = %name, user = %user_of(&account), "execution credentials changed");
        Ok(done)
    }

    /// The role, with exactly these names.
    async fn role_with(&self, function: &FunctionName, name: &RoleName, names: &Permissions) -> Result<Role> {
        let accounts = &self.inner.store.accounts;
        let mut tries = self.tries();
        loop {
            match accounts.role_named(name).await? {
                None => {
                    let about = format!("What the Function {function} may do.");
                    let description = AccountText::parse(about).map_err(Error::internal)?;
                    let mut role = self.new_role(NewRole { name: name.clone(), description });
                    role.permissions.add(names);
                    check_size(&role.permissions)?;
                    match self.enter_role(&role, None).await {
                        Ok(()) => return Ok(role),
                        Err(error) if error.kind() == ErrorKind::ResourceAlreadyExists => {}
                        Err(error) => return Err(error),
                    }
                }
                Some(mut role) => {
                    let before = role.value.permissions.clone();
                    let others: Vec<_> =
                        before.names().filter(|held| !names.iter().any(|name| name == *held)).collect();
                    role.value.permissions.remove(&Permissions::parse(others).map_err(Error::internal)?);
                    role.value.permissions.add(names);
                    check_size(&role.value.permissions)?;
                    if role.value.permissions == before {
                        return Ok(role.value);
                    }
                    role.value.update_timestamp = self.now();
                    let registry = accounts.registry().await?;
                    if accounts.update_roles(std::slice::from_ref(&role), &registry).await? {
                        return Ok(role.value);
                    }
                }
            }
            self.again(&mut tries).await?;
        }
    }

    /// The user, who has this role.
    async fn user_with_role(
        &self,
        caller: &Caller,
        function: &FunctionName,
        email: &EmailAddress,
        role: &Role,
    ) -> Result<Account> {
        let accounts = &self.inner.store.accounts;
        may_hand_out(caller, std::slice::from_ref(role))?;
        let mut tries = self.tries();
        loop {
            let mut registry = accounts.registry().await?;
            match self.user_with(email).await? {
                Found::Account(found) if found.value.account.roles.contains(&role.id) => {
                    return Ok(found.value.account);
                }
                Found::Account(mut found) => {
                    found.value.account.roles.push(role.id);
                    found.value.account.update_timestamp = self.now();
                    if accounts.update_accounts(std::slice::from_ref(&found), None).await? {
                        return Ok(found.value.account);
                    }
                }
                other => {
                    let squatter = match other {
                        Found::Squatter(squatter) => Some(squatter),
                        Found::Nobody | Found::Account(_) => None,
                    };
                    if let Some(squatter) = &squatter {
                        registry.value.waiting.remove(&squatter.account.id);
                    }
                    let stored = self.new_account(self.of_function(function, email)?, vec![role.id]).await?;
                    let entered = self.enter_account(&stored, squatter.as_slice(), &mut registry).await?;
                    if entered == Entered::Done {
                        return Ok(stored.account);
                    }
                }
            }
            self.again(&mut tries).await?;
        }
    }

    /// What the official CLI registers, with a password that nobody ever learns.
    fn of_function(&self, function: &FunctionName, email: &EmailAddress) -> Result<NewAccount> {
        let text = |text: &str| AccountText::parse(text).map_err(Error::internal);
        let password = format!("0Oo-{}", hex::encode(self.inner.ports.ids.secret::<32>()));
        Ok(NewAccount {
            email: email.clone(),
            password: Password::parse(password).map_err(Error::internal)?,
            first_name: text(function.as_str())?,
            last_name: text("exh.tasks")?,
            phone_number: text("0000000000")?,
            language: text("EN")?,
            time_zone: None,
        })
    }

    /// A new credential of this user; the oldest one makes room for it if there are too many.
    async fn keys_of(&self, user: &User, account: &Account) -> Result<ExecutionKeys> {
        let (store, ports) = (&self.inner.store, &self.inner.ports);
        let identity = Identity { user_id: user_of(account), application_id: None, permissions: Permissions::none() };
        let ancestors = match &user.credential {
            Some(credential) => credential.of_child().ok_or_else(super::credentials::too_many_ancestors)?,
            None => Vec::new(),
        };
        let mut existing = store.credentials.of_account(account.id).await?;
        existing.sort_by_key(|credential| credential.id);
        let too_many = (existing.len() + 1).saturating_sub(MOST_CREDENTIALS);
        for oldest in &existing[..too_many] {
            store.credentials.revoke(oldest.id).await?;
        }
        let issued = issue(identity, user.expires, self.now(), &ports.ids, &*self.inner.secrets).await;
        let (shown, issued) = issued.map_err(Error::internal)?;
        let stored = StoredCredential {
            account: Some(OfAccount { within: None, has_role: true }),
            created_by_user_id: Some(user.user_id.clone()),
            ancestors,
            ..issued
        };
        if !store.credentials.put(&stored).await? {
            return Err(super::credentials::revoked_meanwhile());
        }
        Ok(ExecutionKeys {
            consumer_key: shown.consumer_key,
            consumer_secret: shown.consumer_secret.expose().to_owned(),
            token: shown.token,
            token_secret: shown.token_secret.expose().to_owned(),
        })
    }

    async fn user_with(&self, email: &EmailAddress) -> Result<Found> {
        let accounts = &self.inner.store.accounts;
        let Some(found) = accounts.account_of(email).await? else { return Ok(Found::Nobody) };
        let waits = accounts.registry().await?.value.waiting.contains_key(&found.value.account.id);
        Ok(if waits { Found::Squatter(found.value) } else { Found::Account(found) })
    }

    /// Whether requests that are signed with these keys are this user's.
    async fn can_call_with(&self, account: &Account, held: Option<&HeldKeys>) -> Result<bool> {
        let Some(HeldKeys { consumer_key, token }) = held else { return Ok(false) };
        let credentials = &self.inner.store.credentials;
        let now = self.now();
        let is_it = |credential: &StoredCredential| {
            credential.token == *token
                && !credential.has_expired(now)
                && credential.account.as_ref().is_some_and(|account| account.within.is_none())
        };
        let Some(found) = credentials.of_account(account.id).await?.into_iter().find(is_it) else { return Ok(false) };
        if found.consumer_key == *consumer_key {
            return Ok(true);
        }
        let consumer = credentials.by_consumer_key(consumer_key).await.map_err(Error::internal)?;
        Ok(consumer.is_some_and(|consumer| !consumer.has_expired(now)))
    }

    /// A new credential of an existing user lets its holder act as them, so it takes what any credential for others takes.
    async fn may_act_as(&self, caller: &Caller, user: &User, account: &Account, has_token: bool) -> Result<()> {
        if has_token {
            return Ok(());
        }
        require(user, Permission::CreateCredentialsForOthers)?;
        may_hand_out(caller, &self.inner.store.accounts.roles_with(&account.roles).await?)
    }
}

/// How a role has to change.
struct RolePlan {
    is_new: bool,
    added: Vec<String>,
    removed: Vec<String>,
}

impl RolePlan {
    fn of(role: Option<&Role>, wanted: &Permissions) -> Self {
        let holds = |name: &str| {
            let is_there = |role: &Role| role.permissions.names().any(|held| held == name);
            // One that this service has come to know grants nothing until it is added again.
            role.is_some_and(|role| {
                is_there(role) && (role.permissions.grants(name) || Permission::granted_by(name).is_none())
            })
        };
        let added = wanted.iter().filter(|name| !holds(name)).map(str::to_owned).collect();
        let unwanted = |name: &&str| !wanted.iter().any(|wanted| wanted == *name);
        let removed = role.into_iter().flat_map(|role| role.permissions.names()).filter(unwanted);
        Self { is_new: role.is_none(), added, removed: removed.map(str::to_owned).collect() }
    }

    fn check(&self, user: &User) -> Result<()> {
        if self.is_new {
            require(user, Permission::CreateRole)?;
        }
        if !self.added.is_empty() {
            require(user, Permission::AddRolePermission)?;
        }
        if !self.removed.is_empty() {
            require(user, Permission::RemoveRolePermission)?;
        }
        Ok(())
    }
}

fn require(user: &User, permission: Permission) -> Result<()> {
    if user.permissions.hold(permission) { Ok(()) } else { Err(Error::no_permission(permission)) }
}

fn belongs_to_another(email: &EmailAddress, role: &RoleName) -> Error {
    let message = format!(
        "The address {email} belongs to a user who does not have the role '{role}', and whose token the Function does not \
         have: give them the role, or use another address."
    );
    Error::new(ErrorKind::IllegalState, message)
}
