//! Roles and accounts (contract §21).
//!
//! Role names and email addresses have rows of their own, so that two of them are never equal. Everything that creates a
//! role or an account also writes the *registry*, one row that counts them and says until when people may register: such
//! writes come one after the other, which is fast enough for what administrators do.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::TransactWriteItem;
use sha2::{Digest as _, Sha256};
use tasklane_auth::PasswordHash;
use tasklane_model::{
    Account, AccountText, EmailAddress, LoginAttempts, ObjectId, Permissions, Role, RoleName, Timestamp, UserId,
};

use super::{
    StoreError,
    change::Condition,
    row::{NewRow, Row, bytes, json, number, text, time},
    table::Table,
    transaction::Transacted,
};

/// The partitions of the rows by id.
const ROLES: &str = "role";
const ACCOUNTS: &str = "account";
/// The partition of the registry.
const REGISTRY: &str = "registry";
/// The sort key of rows that are alone in their partition.
const ONE: &str = "-";

/// The first format with roles and accounts.
const FORMAT: u32 = 2;

/// Roles and accounts.
#[derive(Clone)]
pub struct Accounts {
    pub(super) table: Table,
}

/// A value as it was read; a write requires that nobody has written it since.
#[derive(Clone, Debug, PartialEq)]
pub struct Revised<T> {
    pub value: T,
    revision: u64,
}

/// What is known of all roles and accounts together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    /// Until when people may register.
    pub open_until: Option<Timestamp>,
    /// The accounts that never had a role, each with the time at which it is forgotten.
    pub waiting: BTreeMap<ObjectId, Timestamp>,
    /// How many roles there are.
    pub roles: u32,
    /// How many accounts there are.
    pub accounts: u32,
}

/// An account with what nobody sees of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAccount {
    pub account: Account,
    pub password: PasswordHash,
    pub attempts: LoginAttempts,
}

/// What an account holds at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub has_role: bool,
    /// What its roles grant.
    pub permissions: Permissions,
}

/// The result of a write that needs a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    Done,
    /// The name or the address belongs to another one.
    Taken,
    /// Somebody else was faster; read again.
    Outdated,
}

impl Accounts {
    /// The registry.
    pub async fn registry(&self) -> Result<Revised<Registry>, StoreError> {
        match self.table.get("read the registry", REGISTRY, ONE).await? {
            Some(row) => revised(&row, read_registry),
            None => Ok(Revised { value: Registry::default(), revision: 0 }),
        }
    }

    /// Every role, the oldest first.
    pub async fn roles(&self) -> Result<Vec<Revised<Role>>, StoreError> {
        self.table.all_of("list the roles", ROLES).await?.iter().map(|row| revised(row, read_role)).collect()
    }

    /// The roles with these ids that exist.
    pub async fn roles_with(&self, ids: &[ObjectId]) -> Result<Vec<Role>, StoreError> {
        let keys = ids.iter().map(|id| (ROLES.to_owned(), id.to_string()));
        let rows = if ids.is_empty() { vec![] } else { self.table.get_all("read the roles", keys).await? };
        rows.iter().map(read_role).collect()
    }

    /// The role with this name.
    pub async fn role_named(&self, name: &RoleName) -> Result<Option<Revised<Role>>, StoreError> {
        const ACTION: &str = "look the role up";
        let Some(row) = self.table.get(ACTION, &by_name(name), ONE).await? else { return Ok(None) };
        let row = self.table.get(ACTION, ROLES, row.text("id")?).await?;
        row.map(|row| revised(&row, read_role)).transpose()
    }

    /// Every account, the oldest first.
    pub async fn accounts(&self) -> Result<Vec<Revised<StoredAccount>>, StoreError> {
        self.table.all_of("list the accounts", ACCOUNTS).await?.iter().map(|row| revised(row, read_account)).collect()
    }

    /// The account with this id.
    pub async fn account(&self, id: ObjectId) -> Result<Option<Revised<StoredAccount>>, StoreError> {
        let row = self.table.get("read the account", ACCOUNTS, &id.to_string()).await?;
        row.map(|row| revised(&row, read_account)).transpose()
    }

    /// The account with this address.
    pub async fn account_of(&self, email: &EmailAddress) -> Result<Option<Revised<StoredAccount>>, StoreError> {
        let Some(row) = self.table.get("look the account up", &by_email(email), ONE).await? else { return Ok(None) };
        self.account(row.parse("id")?).await
    }

    /// What an account holds; `None` if it does not exist.
    pub(super) async fn standing(&self, user: &UserId) -> Result<Option<Standing>, StoreError> {
        let Ok(id) = user.as_str().parse() else { return Ok(None) };
        let Some(found) = self.account(id).await? else { return Ok(None) };
        let roles = self.roles_with(&found.value.account.roles).await?;
        Ok(Some(standing(&found.value.account, &roles)))
    }

    /// What every account holds.
    pub(super) async fn standings(&self) -> Result<BTreeMap<UserId, Standing>, StoreError> {
        let roles: Vec<_> = self.roles().await?.into_iter().map(|role| role.value).collect();
        let accounts = self.accounts().await?.into_iter().map(|found| found.value.account);
        Ok(accounts.map(|account| (account.id.into(), standing(&account, &roles))).collect())
    }

    /// Adds a role.
    pub async fn create_role(&self, role: &Role, registry: &Revised<Registry>) -> Result<Entered, StoreError> {
        const ACTION: &str = "add the role";
        let parts = vec![
            self.table.to_put_new(ACTION, index_row(by_name(&role.name), role.id))?,
            self.to_write_registry(ACTION, registry)?,
            self.table.to_put_new(ACTION, row_of_role(role, 0))?,
        ];
        self.enter(ACTION, parts, role.id).await
    }

    /// Replaces roles, all or none. `false` if one of them, or the registry, has changed since it was read.
    pub async fn update_roles(
        &self,
        roles: &[Revised<Role>],
        registry: &Revised<Registry>,
    ) -> Result<bool, StoreError> {
        const ACTION: &str = "change the roles";
        let mut parts = vec![self.to_write_registry(ACTION, registry)?];
        for Revised { value, revision } in roles {
            parts.push(self.table.to_put_when(ACTION, row_of_role(value, *revision), unchanged(*revision))?);
        }
        self.write(ACTION, parts).await
    }

    /// Adds an account, and forgets others with their addresses.
    pub async fn register(
        &self,
        account: &StoredAccount,
        forgotten: &[StoredAccount],
        registry: &Revised<Registry>,
    ) -> Result<Entered, StoreError> {
        const ACTION: &str = "add the account";
        let Account { id, email, .. } = &account.account;
        // A transaction has at most one part for each row.
        let frees_email = forgotten.iter().any(|other| other.account.email == *email);
        let index = index_row(by_email(email), *id);
        let mut parts = vec![
            if frees_email { self.table.to_put(ACTION, index)? } else { self.table.to_put_new(ACTION, index)? },
            self.to_write_registry(ACTION, registry)?,
            self.table.to_put_new(ACTION, row_of_account(account, 0))?,
        ];
        for other in forgotten {
            parts.push(self.table.to_delete(ACTION, ACCOUNTS, &other.account.id.to_string())?);
            if other.account.email != *email {
                parts.push(self.table.to_delete(ACTION, &by_email(&other.account.email), ONE)?);
            }
        }
        self.enter(ACTION, parts, *id).await
    }

    /// Replaces accounts, all or none. `false` if one of them, or the registry if it is given, has changed since it was
    /// read.
    pub async fn update_accounts(
        &self,
        accounts: &[Revised<StoredAccount>],
        registry: Option<&Revised<Registry>>,
    ) -> Result<bool, StoreError> {
        const ACTION: &str = "change the accounts";
        let mut parts = Vec::with_capacity(accounts.len() + 1);
        for account in accounts {
            parts.push(self.to_update_account(ACTION, account)?);
        }
        if let Some(registry) = registry {
            parts.push(self.to_write_registry(ACTION, registry)?);
        }
        self.write(ACTION, parts).await
    }

    /// A part that replaces an account if nobody has written it since it was read.
    pub(super) fn to_update_account(
        &self,
        action: &'static str,
        account: &Revised<StoredAccount>,
    ) -> Result<TransactWriteItem, StoreError> {
        let row = row_of_account(&account.value, account.revision);
        self.table.to_put_when(action, row, unchanged(account.revision))
    }

    fn to_write_registry(
        &self,
        action: &'static str,
        registry: &Revised<Registry>,
    ) -> Result<TransactWriteItem, StoreError> {
        let Revised { value: Registry { open_until, waiting, roles, accounts }, revision } = registry;
        let mut row = NewRow::new(REGISTRY, ONE).in_format(FORMAT);
        row.set_some("openUntil", open_until.map(time));
        row.set("waiting", json(waiting));
        row.set("roles", number(roles));
        row.set("accounts", number(accounts));
        row.set("revision", number(revision + 1));
        self.table.to_put_when(action, row, unchanged(*revision))
    }

    /// Adds a record whose index row is the first part.
    async fn enter(
        &self,
        action: &'static str,
        parts: Vec<TransactWriteItem>,
        id: ObjectId,
    ) -> Result<Entered, StoreError> {
        let Transacted::Refused(refusals) = self.table.transact(action, parts).await? else {
            return Ok(Entered::Done);
        };
        match refusals.into_iter().next().flatten().and_then(|refusal| refusal.row) {
            // Our own write, whose response was lost.
            Some(index) if index.text("id")? == id.to_string() => Ok(Entered::Done),
            Some(_) => Ok(Entered::Taken),
            None => Ok(Entered::Outdated),
        }
    }

    async fn write(&self, action: &'static str, parts: Vec<TransactWriteItem>) -> Result<bool, StoreError> {
        Ok(matches!(self.table.transact(action, parts).await?, Transacted::Done))
    }
}

fn standing(account: &Account, roles: &[Role]) -> Standing {
    let own = roles.iter().filter(|role| account.roles.contains(&role.id));
    let permissions = own.fold(Permissions::none(), |held, role| held.and(role.permissions.granted()));
    Standing { has_role: !account.roles.is_empty(), permissions }
}

/// The row was written once for each revision.
fn unchanged(revision: u64) -> Condition {
    match revision {
        0 => Condition::absent(),
        _ => Condition::new("#revision = :read").with("read", number(revision)),
    }
}

/// Names and addresses may be longer than DynamoDB's keys.
fn by_name(name: &RoleName) -> String {
    format!("role-name:{}", hex::encode(Sha256::digest(name.as_str())))
}

fn by_email(email: &EmailAddress) -> String {
    format!("email:{}", hex::encode(Sha256::digest(email.as_str())))
}

fn index_row(pk: String, id: ObjectId) -> NewRow {
    let mut row = NewRow::new(pk, ONE).in_format(FORMAT);
    row.set("id", text(id.to_string()));
    row
}

fn row_of_role(role: &Role, revision: u64) -> NewRow {
    let mut row = NewRow::new(ROLES, role.id).in_format(FORMAT);
    row.set("name", text(role.name.as_str()));
    row.set("description", text(role.description.as_str()));
    row.set("permissions", json(&role.permissions));
    row.set("created", time(role.creation_timestamp));
    row.set("updated", time(role.update_timestamp));
    row.set("revision", number(revision + 1));
    row
}

fn row_of_account(stored: &StoredAccount, revision: u64) -> NewRow {
    let StoredAccount { account, password, attempts } = stored;
    let mut row = NewRow::new(ACCOUNTS, account.id).in_format(FORMAT);
    row.set("email", text(account.email.as_str()));
    for (name, value) in [
        ("firstName", &account.first_name),
        ("lastName", &account.last_name),
        ("phoneNumber", &account.phone_number),
        ("language", &account.language),
        ("timeZone", &account.time_zone),
    ] {
        row.set(name, text(value.as_str()));
    }
    row.set("roles", json(&account.roles));
    row.set("password", bytes(password.to_bytes()));
    row.set("wrongPasswords", number(attempts.wrong));
    row.set_some("lastWrong", attempts.last.map(time));
    row.set("created", time(account.creation_timestamp));
    row.set("updated", time(account.update_timestamp));
    row.set("revision", number(revision + 1));
    row
}

fn revised<T>(row: &Row, read: fn(&Row) -> Result<T, StoreError>) -> Result<Revised<T>, StoreError> {
    Ok(Revised { value: read(row)?, revision: row.number("revision")? })
}

fn read_registry(row: &Row) -> Result<Registry, StoreError> {
    Ok(Registry {
        open_until: row.optional_time("openUntil")?,
        waiting: row.json("waiting")?,
        roles: row.number("roles")?,
        accounts: row.number("accounts")?,
    })
}

pub(super) fn read_role(row: &Row) -> Result<Role, StoreError> {
    Ok(Role {
        id: row.parse("sk")?,
        name: RoleName::parse(row.text("name")?).map_err(|error| row.corrupt(error))?,
        description: account_text(row, "description")?,
        permissions: row.json("permissions")?,
        creation_timestamp: row.time("created")?,
        update_timestamp: row.time("updated")?,
    })
}

pub(super) fn read_account(row: &Row) -> Result<StoredAccount, StoreError> {
    let account = Account {
        id: row.parse("sk")?,
        email: EmailAddress::parse(row.text("email")?).map_err(|error| row.corrupt(error))?,
        first_name: account_text(row, "firstName")?,
        last_name: account_text(row, "lastName")?,
        phone_number: account_text(row, "phoneNumber")?,
        language: account_text(row, "language")?,
        time_zone: account_text(row, "timeZone")?,
        roles: row.json("roles")?,
        creation_timestamp: row.time("created")?,
        update_timestamp: row.time("updated")?,
    };
    let password = PasswordHash::from_bytes(row.bytes("password")?);
    Ok(StoredAccount {
        account,
        password: password.ok_or_else(|| row.corrupt("'password' is not a hash"))?,
        attempts: LoginAttempts { wrong: row.number("wrongPasswords")?, last: row.optional_time("lastWrong")? },
    })
}

fn account_text(row: &Row, name: &str) -> Result<AccountText, StoreError> {
    AccountText::parse(row.text(name)?).map_err(|error| row.corrupt(format!("'{name}' {error}")))
}
