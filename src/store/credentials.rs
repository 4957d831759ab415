//! Credentials, sealed or hashed.
//!
//! A credential has three rows: one by its id, for lists, and one each by its consumer key and its access token, so
//! that checking a request takes one point read. They are written and removed in one transaction.

use tasklane_auth::{CredentialSource, Sealed, StoredCredential};
use tasklane_model::{ApplicationId, Identity, ObjectId, Permissions, UserId};
use tasklane_ports::{PortError, PortFuture};

use super::{
    StoreError,
    change::{Change, Condition},
    row::{NewRow, Row, bytes, json, number, text, time},
    table::Table,
    transaction::Transacted,
};

/// The partition of the rows by id.
const ALL: &str = "credential";
const OWN_ROWS: usize = 3;
/// The sort key of the other rows, each of which is alone in its partition.
const ONE: &str = "-";

#[derive(Clone)]
pub struct Credentials {
    pub(super) table: Table,
}

impl Credentials {
    /// Adds one, idempotently, unless the credential that created it is revoked. `false` if it is.
    pub async fn put(&self, credential: &StoredCredential) -> Result<bool, StoreError> {
        const ACTION: &str = "add the credential";
        let parts = keys(credential).map(|(pk, sk)| self.table.to_put_new(ACTION, new_row(pk, sk, credential)));
        let mut parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
        // In the same transaction, so that revoking a credential and its descendants misses none.
        if let Some(parent) = credential.ancestors.last() {
            let id = credential.id.to_string();
            let change = Change::new().set("lastCreated", text(id)).when(Condition::new("attribute_exists(#pk)"));
            parts.push(self.table.to_update(ACTION, ALL, &parent.to_string(), change)?);
        }
        match self.table.transact(ACTION, parts).await? {
            Transacted::Done => Ok(true),
            Transacted::Refused(refusals) => {
                let id = credential.id.to_string();
                let ours = |row: &Row| row.text("id").is_ok_and(|own| own == id);
                let (own, parent) = refusals.split_at(refusals.len().min(OWN_ROWS));
                if parent.iter().any(Option::is_some) {
                    return Ok(false);
                }
                match own.iter().flatten().filter_map(|refusal| refusal.row.as_ref()).find(|row| !ours(row)) {
                    None => Ok(true),
                    Some(other) => Err(other.corrupt("another credential has this key, access token or id")),
                }
            }
        }
    }

    /// All of them by id, including expired ones.
    pub async fn list(&self) -> Result<Vec<StoredCredential>, StoreError> {
        self.table.all_of("list the credentials", ALL).await?.iter().map(read).collect()
    }

    /// Removes one: it stops working immediately. `false` if it does not exist.
    pub async fn revoke(&self, id: ObjectId) -> Result<bool, StoreError> {
        const ACTION: &str = "revoke the credential";
        let Some(row) = self.table.get(ACTION, ALL, &id.to_string()).await? else { return Ok(false) };
        // The row by id decides which caller revoked it. The other rows are deleted with it, whether they exist or not.
        let [(pk, sk), others @ ..] = keys(&read(&row)?);
        let others = others.iter().map(|(pk, sk)| self.table.to_delete(ACTION, pk, sk));
        let parts = std::iter::once(self.table.to_delete_existing(ACTION, &pk, &sk)).chain(others);
        match self.table.transact(ACTION, parts.collect::<Result<_, _>>()?).await? {
            Transacted::Done => Ok(true),
            Transacted::Refused(_) => Ok(false),
        }
    }

    /// The credentials that descend from this one, whether or not it is revoked.
    pub async fn descendants(&self, id: ObjectId) -> Result<Vec<ObjectId>, StoreError> {
        let descends = |credential: &StoredCredential| credential.ancestors.contains(&id);
        Ok(self.list().await?.into_iter().filter(descends).map(|credential| credential.id).collect())
    }

    async fn find(&self, pk: String) -> Result<Option<StoredCredential>, PortError> {
        let found = self.table.get("look the credential up", &pk, ONE).await;
        let read = found.and_then(|row| row.as_ref().map(read).transpose());
        read.map_err(|error| PortError::new("look the credential up", error))
    }
}

impl CredentialSource for Credentials {
    fn by_consumer_key<'a>(&'a self, key: &'a str) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>> {
        Box::pin(self.find(by_consumer_key(key)))
    }

    fn by_access_token_hash<'a>(
        &'a self,
        hash: &'a [u8; 32],
    ) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>> {
        Box::pin(self.find(by_access_token_hash(hash)))
    }
}

fn keys(credential: &StoredCredential) -> [(String, String); OWN_ROWS] {
    [
        (ALL.to_owned(), credential.id.to_string()),
        (by_consumer_key(&credential.consumer_key), ONE.to_owned()),
        (by_access_token_hash(&credential.access_token_hash), ONE.to_owned()),
    ]
}

// Values from requests may have any length; DynamoDB's keys may not.
fn by_consumer_key(key: &str) -> String {
    use sha2::Digest as _;
    format!("consumer:{}", hex::encode(sha2::Sha256::digest(key)))
}

fn by_access_token_hash(hash: &[u8; 32]) -> String {
    format!("access:{}", hex::encode(hash))
}

fn new_row(pk: String, sk: String, credential: &StoredCredential) -> NewRow {
    let mut row = NewRow::new(pk, sk);
    row.set("id", text(credential.id.to_string()));
    row.set("user", text(credential.identity.user_id.as_str()));
    row.set_some("application", credential.identity.application_id.as_ref().map(|id| text(id.as_str())));
    row.set("permissions", json(&credential.identity.permissions));
    row.set("consumerKey", text(&credential.consumer_key));
    row.set("consumerSecret", bytes(credential.consumer_secret.as_bytes()));
    row.set("token", text(&credential.token));
    row.set("tokenSecret", bytes(credential.token_secret.as_bytes()));
    row.set("accessTokenHash", bytes(credential.access_token_hash));
    row.set("created", time(credential.creation_timestamp));
    // Not the TTL attribute, because expired credentials have another error than unknown ones (contract §9: 118, 117).
    row.set_some("until", credential.expires.map(time));
    let vocabulary = credential.identity.permissions.vocabulary();
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
    Ok(StoredCredential {
        id: row.parse("id")?,
        identity: Identity {
            user_id: UserId::parse(row.text("user")?).map_err(|error| row.corrupt(error))?,
            application_id: application,
            permissions: permissions.given_at(vocabulary),
        },
        consumer_key: row.text("consumerKey")?.to_owned(),
        consumer_secret: Sealed::from_bytes(row.bytes("consumerSecret")?.to_vec()),
        token: row.text("token")?.to_owned(),
        token_secret: Sealed::from_bytes(row.bytes("tokenSecret")?.to_vec()),
        access_token_hash: row
            .bytes("accessTokenHash")?
            .try_into()
            .map_err(|_| row.corrupt("'accessTokenHash' is not 32 bytes"))?,
        creation_timestamp: row.time("created")?,
        expires: row.optional_time("until")?,
        created_by_user_id: created_by.map(|id| UserId::parse(id).map_err(|error| row.corrupt(error))).transpose()?,
        ancestors: row.optional_json("ancestors")?.unwrap_or_default(),
    })
}
