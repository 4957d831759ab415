//! Credentials, sealed or hashed.
//!
//! A credential has three rows: one by its id, for lists, and one each by its consumer key and its access token, so
//! that checking a request takes one point read. They are written and removed in one transaction. One of an account has another
//! by its token, which works with other consumers, too; a token that an account got with its password has no others. The account
//! and its roles are read with it, so a change of a role takes effect at once.

use aws_sdk_dynamodb::types::TransactWriteItem;
use tasklane_auth::{CredentialSource, OfAccount, Sealed, StoredCredential};
use tasklane_model::{ApplicationId, Identity, ObjectId, Permissions, UserId};
use tasklane_ports::{PortError, PortFuture};

use super::{
    Accounts, Revised, StoreError, StoredAccount,
    accounts::Standing,
    change::{Change, Condition},
    row::{NewRow, Row, bytes, json, number, text, time},
    table::Table,
    transaction::Transacted,
};

/// The partition of the rows by id.
const ALL: &str = "credential";
/// The sort key of the other rows, each of which is alone in its partition.
const ONE: &str = "-";

/// How a credential depends on an account: it grants everything that the account's roles do, or what is also in its own list.
const ALL_OF_IT: &str = "all";
const WITHIN: &str = "within";

/// The first format with credentials that depend on accounts: an older process would let an account without a role in.
const ACCOUNTS_FORMAT: u32 = 2;

#[derive(Clone)]
pub struct Credentials {
    pub(super) table: Table,
    pub(super) accounts: Accounts,
}

impl Credentials {
    /// Adds one, idempotently, unless the credential that created it is revoked. `false` if it is.
    pub async fn put(&self, credential: &StoredCredential) -> Result<bool, StoreError> {
        self.put_with(credential, None).await
    }

    /// [`Credentials::put`], together with a change of its account. `false`, too, if the account has changed since it was
    /// read.
    pub async fn put_of_account(
        &self,
        credential: &StoredCredential,
        account: &Revised<StoredAccount>,
    ) -> Result<bool, StoreError> {
        let part = self.accounts.to_update_account("add the credential of an account", account)?;
        self.put_with(credential, Some(part)).await
    }

    async fn put_with(
        &self,
        credential: &StoredCredential,
        more: Option<TransactWriteItem>,
    ) -> Result<bool, StoreError> {
        const ACTION: &str = "add the credential";
        let own_rows = keys(credential);
        let own_count = own_rows.len();
        let parts = own_rows.into_iter().map(|(pk, sk)| self.table.to_put_new(ACTION, new_row(pk, sk, credential)));
        let mut parts = parts.collect::<Result<Vec<_>, _>>()?;
        // In the same transaction, so that revoking a credential and its descendants misses none.
        if let Some(parent) = credential.ancestors.last() {
            let id = credential.id.to_string();
            let change = Change::new().set("lastCreated", text(id)).when(Condition::new("attribute_exists(#pk)"));
            parts.push(self.table.to_update(ACTION, ALL, &parent.to_string(), change)?);
        }
        parts.extend(more);
        match self.table.transact(ACTION, parts).await? {
            Transacted::Done => Ok(true),
            Transacted::Refused(refusals) => {
                let id = credential.id.to_string();
                let ours = |row: &Row| row.text("id").is_ok_and(|own| own == id);
                let (own, others) = refusals.split_at(refusals.len().min(own_count));
                let found: Vec<_> = own.iter().flatten().filter_map(|refusal| refusal.row.as_ref()).collect();
                match found.iter().find(|row| !ours(row)) {
                    // Our own write, whose response was lost, or else another part was refused.
                    None => Ok(!found.is_empty() || others.iter().all(Option::is_none)),
                    Some(other) => Err(other.corrupt("another credential has this key, access token or id")),
                }
            }
        }
    }

    /// All of them by id, including expired ones.
    pub async fn list(&self) -> Result<Vec<StoredCredential>, StoreError> {
        let mut all = self.stored().await?;
        if all.iter().any(|credential| credential.account.is_some()) {
            let standings = self.accounts.standings().await?;
            for credential in &mut all {
                if let Some(standing) = standings.get(&credential.identity.user_id) {
                    stand(credential, standing.clone());
                }
            }
        }
        Ok(all)
    }

    /// Those that depend on this account, without what it holds.
    pub async fn of_account(&self, account: ObjectId) -> Result<Vec<StoredCredential>, StoreError> {
        let user = UserId::from(account);
        let depends =
            |credential: &StoredCredential| credential.account.is_some() && credential.identity.user_id == user;
        Ok(self.stored().await?.into_iter().filter(depends).collect())
    }

    /// The one with this id, without what its account holds.
    pub async fn get(&self, id: ObjectId) -> Result<Option<StoredCredential>, StoreError> {
        self.table.get("read the credential", ALL, &id.to_string()).await?.as_ref().map(read).transpose()
    }

    /// All of them, without what their accounts hold.
    async fn stored(&self) -> Result<Vec<StoredCredential>, StoreError> {
        self.table.all_of("list the credentials", ALL).await?.iter().map(read).collect()
    }

    /// Removes one: it stops working immediately. `false` if it does not exist.
    pub async fn revoke(&self, id: ObjectId) -> Result<bool, StoreError> {
        const ACTION: &str = "revoke the credential";
        let Some(row) = self.table.get(ACTION, ALL, &id.to_string()).await? else { return Ok(false) };
        // The row by id decides which caller revoked it. The other rows are deleted with it, whether they exist or not.
        let others = keys(&read(&row)?).into_iter().skip(1).map(|(pk, sk)| self.table.to_delete(ACTION, &pk, &sk));
        let parts = std::iter::once(self.table.to_delete_existing(ACTION, ALL, &id.to_string())).chain(others);
        match self.table.transact(ACTION, parts.collect::<Result<_, _>>()?).await? {
            Transacted::Done => Ok(true),
            Transacted::Refused(_) => Ok(false),
        }
    }

    /// The credentials that descend from this one, whether or not it is revoked.
    pub async fn descendants(&self, id: ObjectId) -> Result<Vec<ObjectId>, StoreError> {
        let descends = |credential: &StoredCredential| credential.ancestors.contains(&id);
        Ok(self.stored().await?.into_iter().filter(descends).map(|credential| credential.id).collect())
    }

    async fn find(&self, pk: String) -> Result<Option<StoredCredential>, PortError> {
        self.look_up(&pk).await.map_err(|error| PortError::new("look the credential up", error))
    }

    /// `None`, too, if it depends on an account that is gone.
    async fn look_up(&self, pk: &str) -> Result<Option<StoredCredential>, StoreError> {
        let Some(row) = self.table.get("look the credential up", pk, ONE).await? else { return Ok(None) };
        let mut credential = read(&row)?;
        if credential.account.is_none() {
            return Ok(Some(credential));
        }
        let standing = self.accounts.standing(&credential.identity.user_id).await?;
        Ok(standing.map(|standing| {
            stand(&mut credential, standing);
            credential
        }))
    }
}

/// Gives a credential what its account holds.
fn stand(credential: &mut StoredCredential, standing: Standing) {
    let Some(account) = &mut credential.account else { return };
    account.has_role = standing.has_role;
    credential.identity.permissions = match &account.within {
        Some(limit) => standing.permissions.within(limit),
        None => standing.permissions,
    };
}

impl CredentialSource for Credentials {
    fn by_consumer_key<'a>(&'a self, key: &'a str) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>> {
        Box::pin(self.find(by_consumer_key(key)))
    }

    fn by_token<'a>(&'a self, token: &'a str) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>> {
        Box::pin(self.find(by_token(token)))
    }

    fn by_access_token_hash<'a>(
        &'a self,
        hash: &'a [u8; 32],
    ) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>> {
        Box::pin(self.find(by_access_token_hash(hash)))
    }
}

/// The keys of its rows, the one by id first.
fn keys(credential: &StoredCredential) -> Vec<(String, String)> {
    let one = |pk: String| (pk, ONE.to_owned());
    let mut keys = vec![(ALL.to_owned(), credential.id.to_string())];
    if let Some(hash) = &credential.access_token_hash {
        keys.extend([one(by_consumer_key(&credential.consumer_key)), one(by_access_token_hash(hash))]);
    }
    if credential.account.is_some() {
        keys.push(one(by_token(&credential.token)));
    }
    keys
}

// Values from requests may have any length; DynamoDB's keys may not.
fn by_consumer_key(key: &str) -> String {
    use sha2::Digest as _;
    format!("consumer:{}", hex::encode(sha2::Sha256::digest(key)))
}

fn by_token(token: &str) -> String {
    use sha2::Digest as _;
    format!("token:{}", hex::encode(sha2::Sha256::digest(token)))
}

fn by_access_token_hash(hash: &[u8; 32]) -> String {
    format!("access:{}", hex::encode(hash))
}

fn new_row(pk: String, sk: String, credential: &StoredCredential) -> NewRow {
    let mut row = NewRow::new(pk, sk);
    // What an account holds is not stored with its credentials, only a limit of it.
    let nothing = Permissions::none();
    let mut permissions = &credential.identity.permissions;
    if let Some(OfAccount { within, .. }) = &credential.account {
        row = row.in_format(ACCOUNTS_FORMAT);
        row.set("ofAccount", text(if within.is_some() { WITHIN } else { ALL_OF_IT }));
        permissions = within.as_ref().unwrap_or(&nothing);
    }
    row.set("id", text(credential.id.to_string()));
    row.set("user", text(credential.identity.user_id.as_str()));
    row.set_some("application", credential.identity.application_id.as_ref().map(|id| text(id.as_str())));
    row.set("permissions", json(permissions));
    row.set("consumerKey", text(&credential.consumer_key));
    row.set("consumerSecret", bytes(credential.consumer_secret.as_bytes()));
    row.set("token", text(&credential.token));
    row.set("tokenSecret", bytes(credential.token_secret.as_bytes()));
    row.set_some("accessTokenHash", credential.access_token_hash.map(bytes));
    row.set("created", time(credential.creation_timestamp));
    // Not the TTL attribute, because expired credentials have another error than unknown ones (contract §9: 118, 117).
    row.set_some("until", credential.expires.map(time));
    let vocabulary = permissions.vocabulary();
    row.set_some("vocabulary", (vocabulary > 1).then(|| number(vocabulary)));
    row.set_some("createdBy", credential.created_by_user_id.as_ref().map(|id| text(id.as_str())));
    row.set_some("ancestors", Some(&credential.ancestors).filter(|ids| !ids.is_empty()).map(json));
    row
}

pub(super) fn read(row: &Row) -> Result<StoredCredential, StoreError> {
    let application = row.optional_text("application")?;
    let application = application.map(|id| ApplicationId::parse(id).map_err(|error| row.corrupt(error))).transpose()?;
    let created_by = row.optional_text("createdBy")?;
    let permissions: Permissions = row.json("permissions")?;
    // A row without this attribute could only be given the first version's permissions. Other names in it must not
    // grant anything, even if they have become names of permissions since.
    let vocabulary = row.optional_number("vocabulary")?.unwrap_or(1);
    let permissions = permissions.given_at(vocabulary);
    let (account, permissions) = match row.optional_text("ofAccount")? {
        None => (None, permissions),
        Some(ALL_OF_IT) => (Some(OfAccount { within: None, has_role: false }), Permissions::none()),
        Some(WITHIN) => (Some(OfAccount { within: Some(permissions), has_role: false }), Permissions::none()),
        Some(_) => return Err(row.corrupt(format!("'ofAccount' is neither {ALL_OF_IT} nor {WITHIN}"))),
    };
    Ok(StoredCredential {
        id: row.parse("id")?,
        identity: Identity {
            user_id: UserId::parse(row.text("user")?).map_err(|error| row.corrupt(error))?,
            application_id: application,
            permissions,
        },
        account,
        consumer_key: row.text("consumerKey")?.to_owned(),
        consumer_secret: Sealed::from_bytes(row.bytes("consumerSecret")?.to_vec()),
        token: row.text("token")?.to_owned(),
        token_secret: Sealed::from_bytes(row.bytes("tokenSecret")?.to_vec()),
        access_token_hash: row
            .optional_bytes("accessTokenHash")?
            .map(|hash| hash.try_into().map_err(|_| row.corrupt("'accessTokenHash' is not 32 bytes")))
            .transpose()?,
        creation_timestamp: row.time("created")?,
        expires: row.optional_time("until")?,
        created_by_user_id: created_by.map(|id| UserId::parse(id).map_err(|error| row.corrupt(error))).transpose()?,
        ancestors: row.optional_json("ancestors")?.unwrap_or_default(),
    })
}
