//! Accounts: register, log in, give and take roles (contract §21).

use std::time::Duration;

use serde::Serialize;
use tasklane_auth::{PasswordHash, issue_token};
use tasklane_model::{
    Account, AccountText, AffectedRecords, Application, ApplicationId, Caller, EmailAddress, Error, ErrorKind,
    Identity, Json, LoginAttempts, ObjectId, Page, Password, Result, Role, Secret, Timestamp, UserId,
};
use tasklane_rql::Query;
use tasklane_store::{Entered, Registry, Revised, StoredAccount};
use tracing::info;
use utoipa::ToSchema;

use super::{
    Service,
    roles::{ChangeOf, ShownRole, must_be_few, must_select},
    short_lists::{matches, page_of},
};

/// The most accounts of a service.
const MOST_ACCOUNTS: u32 = 10_000;
/// The most accounts that never had a role.
const MOST_WAITING: usize = 50;
/// An account that gets no role in this time is forgotten.
const WAITS_FOR: Duration = Duration::from_secs(60 * 60);
/// How many of those that waited too long are forgotten at once.
const FORGOTTEN_AT_ONCE: usize = 10;
/// The most credentials of one account.
pub(super) const MOST_CREDENTIALS: usize = 50;

/// Somebody who registers.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Their address.
    pub email: EmailAddress,
    /// Their password.
    pub password: Password,
    /// Their first name.
    pub first_name: AccountText,
    /// Their last name.
    pub last_name: AccountText,
    /// Their phone number.
    pub phone_number: AccountText,
    /// Their language.
    pub language: AccountText,
    /// Their time zone.
    pub time_zone: Option<AccountText>,
}

/// A user with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = User)]
pub struct ShownUser {
    /// The user's id.
    pub id: ObjectId,
    /// The user's email address, in lower case.
    pub email: EmailAddress,
    /// What the user said about themselves.
    #[serde(flatten)]
    pub profile: Profile,
}

/// What is known of a user with an account besides the id and the address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = UserProfile)]
pub struct Profile {
    /// The first name.
    pub first_name: AccountText,
    /// The last name.
    pub last_name: AccountText,
    /// The phone number.
    pub phone_number: AccountText,
    /// The language, such as `EN`.
    pub language: AccountText,
    /// The time zone.
    pub time_zone: AccountText,
    /// Whether the user has a role. Without one, they may do nothing.
    pub activation: bool,
    /// The user's roles.
    pub roles: Vec<ShownRole>,
    /// When the user registered.
    pub creation_timestamp: Timestamp,
    /// When the account last changed.
    pub update_timestamp: Timestamp,
}

/// A token for signing requests as a user, with the consumer that asked for it.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OAuth1Token)]
pub struct UserToken {
    /// The id of the credential, which revokes it.
    pub id: ObjectId,
    /// The application of the consumer.
    pub application_id: ApplicationId,
    /// The user.
    pub user_id: ObjectId,
    /// The token. Public.
    pub token: String,
    /// Its secret, which cannot be read again.
    pub token_secret: String,
    /// When it was created.
    pub creation_timestamp: Timestamp,
    /// The same: a token does not change.
    pub update_timestamp: Timestamp,
    /// The same: the service does not record when a token is used.
    pub last_used_timestamp: Timestamp,
}

impl std::fmt::Debug for UserToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserToken").field("id", &self.id).field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

impl ShownUser {
    /// An account with those of these roles that it has.
    pub(super) fn new(account: &Account, roles: &[Role]) -> Self {
        let roles = roles.iter().filter(|role| account.roles.contains(&role.id));
        Self {
            id: account.id,
            email: account.email.clone(),
            profile: Profile {
                first_name: account.first_name.clone(),
                last_name: account.last_name.clone(),
                phone_number: account.phone_number.clone(),
                language: account.language.clone(),
                time_zone: account.time_zone.clone(),
                activation: !account.roles.is_empty(),
                roles: roles.map(ShownRole::from).collect(),
                creation_timestamp: account.creation_timestamp,
                update_timestamp: account.update_timestamp,
            },
        }
    }
}

impl Service {
    /// The users with an account that match, the oldest first.
    pub async fn list_users(&self, query: &Query) -> Result<Page<Json>> {
        let accounts = &self.inner.store.accounts;
        let roles: Vec<_> = accounts.roles().await?.into_iter().map(|role| role.value).collect();
        let accounts = accounts.accounts().await?;
        page_of(accounts.iter().map(|found| ShownUser::new(&found.value.account, &roles)), query)
    }

    /// The account of a caller, if they have one.
    pub async fn account_of(&self, caller: &Identity) -> Result<Option<ShownUser>> {
        let Ok(id) = caller.user_id.as_str().parse() else { return Ok(None) };
        let accounts = &self.inner.store.accounts;
        let Some(found) = accounts.account(id).await? else { return Ok(None) };
        let roles = accounts.roles_with(&found.value.account.roles).await?;
        Ok(Some(ShownUser::new(&found.value.account, &roles)))
    }

    /// Registers somebody, who holds nothing until an administrator gives them a role; 10 unless an administrator created
    /// or changed a role within the last two minutes, 203 when the address is taken.
    pub async fn register(&self, new: NewAccount) -> Result<ShownUser> {
        let accounts = &self.inner.store.accounts;
        // Before the password is hashed, which is the expensive part.
        self.must_be_open(&accounts.registry().await?.value)?;
        let stored = self.new_account(new, Vec::new()).await?;
        let account = &stored.account;
        let mut tries = self.tries();
        loop {
            let mut registry = accounts.registry().await?;
            self.must_be_open(&registry.value)?;
            let forgotten = self.overdue(&mut registry.value).await?;
            if registry.value.waiting.len() >= MOST_WAITING {
                let message =
                    format!("{MOST_WAITING} users have no role yet: give roles to some of them, or wait an hour.");
                return Err(Error::new(ErrorKind::IllegalState, message));
            }
            registry.value.waiting.insert(account.id, self.now().saturating_add(WAITS_FOR));
            match self.enter_account(&stored, &forgotten, &mut registry).await? {
                Entered::Done => break,
                Entered::Taken => {
                    let message = format!("The address {} belongs to another user.", account.email);
                    return Err(Error::new(ErrorKind::EmailUsed, message));
                }
                Entered::Outdated => self.again(&mut tries).await?,
            }
        }
        Ok(ShownUser::new(account, &[]))
    }

    /// Gives roles to the users that match. 10 when one of the roles grants more than the caller holds, 16 for an unknown
    /// role and when no user matches.
    pub async fn add_roles(&self, caller: &Caller, query: &Query, ids: &[ObjectId]) -> Result<AffectedRecords> {
        let roles = self.inner.store.accounts.roles_with(ids).await?;
        if let Some(unknown) = ids.iter().find(|id| !roles.iter().any(|role| role.id == **id)) {
            return Err(Error::unknown("role", unknown));
        }
        may_hand_out(caller, &roles)?;
        self.change_accounts(query, &|account| {
            account.roles.extend(ids);
            account.roles.sort_unstable();
            account.roles.dedup();
            if account.roles.len() > Account::MOST_ROLES {
                let message = format!("A user has at most {} roles.", Account::MOST_ROLES);
                return Err(Error::new(ErrorKind::IllegalArgument, message));
            }
            Ok(())
        })
        .await
    }

    /// Takes roles from the users that match, whether or not they have them; 16 when no user matches.
    pub async fn remove_roles(&self, query: &Query, ids: &[ObjectId]) -> Result<AffectedRecords> {
        self.change_accounts(query, &|account| {
            account.roles.retain(|role| !ids.contains(role));
            Ok(())
        })
        .await
    }

    /// Creates a token for the user with this address and password, with the consumer that signed the request. 106 when
    /// they are wrong, 211 after too many wrong passwords, 27 when the user has too many credentials.
    pub async fn log_in(&self, application: &Application, email: &EmailAddress, password: Secret) -> Result<UserToken> {
        let Some(account) = self.checked_account(email, password).await? else {
            return Err(Error::new(ErrorKind::Authentication, "The email address or the password is wrong."));
        };
        let (store, ports) = (&self.inner.store, &self.inner.ports);
        let now = self.now();
        let mut tries = self.tries();
        loop {
            let revoked = || Error::new(ErrorKind::OauthKey, "The OAuth consumer key was revoked a moment ago.");
            let consumer = store.credentials.get(application.credential).await?.ok_or_else(revoked)?;
            let gone = || Error::new(ErrorKind::Authentication, "The user was forgotten a moment ago.");
            let mut current = store.accounts.account(account).await?.ok_or_else(gone)?;
            // Read after the account, because adding another one writes the account.
            if store.credentials.of_account(account).await?.len() >= MOST_CREDENTIALS {
                let message = format!(
                    "The user has {MOST_CREDENTIALS} credentials, and cannot have more: revoke some with \
                     `tasklane credentials revoke`."
                );
                return Err(Error::new(ErrorKind::IllegalState, message));
            }
            let issued = issue_token(&consumer, account, now, &ports.ids, &*self.inner.secrets).await;
            let Some((shown, stored)) = issued.map_err(Error::internal)? else {
                return Err(super::credentials::too_many_ancestors());
            };
            current.value.attempts = LoginAttempts::default();
            if store.credentials.put_of_account(&stored, &current).await? {
                info!(credential = %stored.id, user = %stored.identity.user_id, "token created");
                return Ok(UserToken {
                    id: stored.id,
                    application_id: application.id.clone(),
                    user_id: account,
                    token: shown.token,
                    token_secret: shown.token_secret.expose().to_owned(),
                    creation_timestamp: now,
                    update_timestamp: now,
                    last_used_timestamp: now,
                });
            }
            self.again(&mut tries).await?;
        }
    }

    /// The account with this address, if the password is its own. Each try is written down before the password is checked,
    /// so that no number of tries at once gets around the limit.
    async fn checked_account(&self, email: &EmailAddress, password: Secret) -> Result<Option<ObjectId>> {
        let accounts = &self.inner.store.accounts;
        let mut tries = self.tries();
        let found = loop {
            let Some(mut found) = accounts.account_of(email).await? else { break None };
            let StoredAccount { attempts, .. } = &mut found.value;
            *attempts = attempts.one_more(self.now()).ok_or_else(|| {
                let message = "There were too many wrong passwords for this user. Try again in half a minute.";
                Error::new(ErrorKind::LoginTimeout, message)
            })?;
            if accounts.update_accounts(std::slice::from_ref(&found), None).await? {
                break Some(found.value);
            }
            self.again(&mut tries).await?;
        };
        // An unknown address takes as long as a wrong password.
        let hash = match &found {
            Some(found) => found.password.clone(),
            None => PasswordHash::of_nobody(&self.inner.ports.ids),
        };
        let is_right = self.inner.passwords.work(move || hash.is_of(password.expose())).await?;
        let is_right = is_right.map_err(Error::internal)?;
        Ok(found.filter(|_| is_right).map(|found| found.account.id))
    }

    /// The record of a new account, which has these roles.
    pub(super) async fn new_account(&self, new: NewAccount, roles: Vec<ObjectId>) -> Result<StoredAccount> {
        let NewAccount { email, password, first_name, last_name, phone_number, language, time_zone } = new;
        let salt = self.inner.ports.ids.secret();
        let hash = self.inner.passwords.work(move || PasswordHash::of(&password, salt)).await?;
        let now = self.now();
        let account = Account {
            id: self.inner.ports.ids.next(now),
            email,
            first_name,
            last_name,
            phone_number,
            language,
            time_zone: time_zone.unwrap_or_default(),
            roles,
            creation_timestamp: now,
            update_timestamp: now,
        };
        let password = hash.map_err(Error::internal)?;
        Ok(StoredAccount { account, password, attempts: LoginAttempts::default() })
    }

    /// Adds an account in place of others; 27 when there are too many.
    pub(super) async fn enter_account(
        &self,
        stored: &StoredAccount,
        forgotten: &[StoredAccount],
        registry: &mut Revised<Registry>,
    ) -> Result<Entered> {
        let count = registry.value.accounts.saturating_sub(u32::try_from(forgotten.len()).unwrap_or(u32::MAX));
        if count >= MOST_ACCOUNTS {
            let message = format!("There are {MOST_ACCOUNTS} users, and there cannot be more.");
            return Err(Error::new(ErrorKind::IllegalState, message));
        }
        registry.value.accounts = count + 1;
        // First, because nobody can log in to an account that is gone, but a token would stay.
        for other in forgotten {
            self.revoke_all_of(other.account.id).await?;
        }
        let entered = self.inner.store.accounts.register(stored, forgotten, registry).await?;
        if entered == Entered::Done {
            info!(user = %stored.account.id, "user registered");
        }
        Ok(entered)
    }

    /// Those that have waited for a role for too long. They wait no longer according to the registry.
    async fn overdue(&self, registry: &mut Registry) -> Result<Vec<StoredAccount>> {
        let now = self.now();
        let overdue = registry.waiting.iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id);
        let mut forgotten = Vec::new();
        for id in overdue.take(FORGOTTEN_AT_ONCE).collect::<Vec<_>>() {
            registry.waiting.remove(&id);
            forgotten.extend(self.inner.store.accounts.account(id).await?.map(|found| found.value));
        }
        Ok(forgotten)
    }

    async fn revoke_all_of(&self, account: ObjectId) -> Result<()> {
        let credentials = &self.inner.store.credentials;
        for credential in credentials.of_account(account).await? {
            credentials.revoke(credential.id).await?;
        }
        Ok(())
    }

    fn must_be_open(&self, registry: &Registry) -> Result<()> {
        if registry.open_until.is_some_and(|until| self.now() < until) {
            return Ok(());
        }
        let message = "Registration is closed. It is open for two minutes after an administrator creates or changes a role, \
                       so let one do that first.";
        Err(Error::new(ErrorKind::NoPermission, message))
    }

    async fn change_accounts(&self, query: &Query, change: ChangeOf<'_, Account>) -> Result<AffectedRecords> {
        must_select(query)?;
        let accounts = &self.inner.store.accounts;
        let mut tries = self.tries();
        loop {
            let roles: Vec<_> = accounts.roles().await?.into_iter().map(|role| role.value).collect();
            let mut found = Vec::new();
            for stored in accounts.accounts().await? {
                if matches(&ShownUser::new(&stored.value.account, &roles), query)? {
                    found.push(stored);
                }
            }
            must_be_few("user", found.len(), query)?;
            let mut changed = Vec::new();
            for mut stored in found {
                let before = stored.value.account.roles.clone();
                change(&mut stored.value.account)?;
                if stored.value.account.roles != before {
                    stored.value.account.update_timestamp = self.now();
                    changed.push(stored);
                }
            }
            let affected = AffectedRecords { affected_records: changed.len() as u64 };
            if changed.is_empty() {
                return Ok(affected);
            }
            let mut registry = accounts.registry().await?;
            let waited = registry.value.waiting.len();
            let has_role = |id: &ObjectId| {
                changed.iter().any(|stored| stored.value.account.id == *id && !stored.value.account.roles.is_empty())
            };
            registry.value.waiting.retain(|id, _| !has_role(id));
            let registry = (registry.value.waiting.len() < waited).then_some(&registry);
            if accounts.update_accounts(&changed, registry).await? {
                let users: Vec<_> = changed.iter().map(|stored| stored.value.account.id.to_string()).collect();
                info!(users = users.join(", "), "roles of users changed");
                return Ok(affected);
            }
            self.again(&mut tries).await?;
        }
    }
}

/// Nobody hands out a role that grants more than they hold (10).
pub(super) fn may_hand_out(caller: &Caller, roles: &[Role]) -> Result<()> {
    let held = &caller.identity().ok_or_else(|| caller.refusal())?.permissions;
    for role in roles {
        if let Some(lacking) = held.first_lacking(&role.permissions.granted()) {
            return Err(Error::no_permission(format!("{lacking} (in the role '{}')", role.name)));
        }
    }
    Ok(())
}

/// The id of an account as a user's id.
pub(super) fn user_of(account: &Account) -> UserId {
    account.id.into()
}
