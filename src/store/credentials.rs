//! Credentials, sealed or hashed.
//!
//! A credential is three rows: one by its id, for lists, and one by each thing that a request finds it by, so that
//! checking a request is one point read. They are written, and removed, in one transaction.

use aws_sdk_dynamodb::types::TransactWriteItem;

use crate::{
    auth::{CredentialSource, Sealed, StoredCredential},
    model::{ApplicationId, Identity, ObjectId, UserId},
    ports::{PortError, PortFuture},
};

use super::{
    StoreError,
    row::{NewRow, Row, bytes, json, text, time},
    table::{Table, Transacted},
};

/// The partition of the rows by id.
const ALL: &str = "credential";
/// The sort key of the other rows: there is one in each partition.
const ONE: &str = "-";

/// The table of credentials.
#[derive(Clone)]
pub struct Credentials {
    pub(super) table: Table,
}

impl Credentials {
    /// Adds one. Adding the same one twice is adding it once.
    pub async fn put(&self, credential: &StoredCredential) -> Result<(), StoreError> {
        const ACTION: &str = "add the credential";
        let parts = keys(credential).map(|(pk, sk)| self.table.to_put_new(ACTION, new_row(pk, sk, credential)));
        let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
        match self.table.transact(ACTION, parts).await? {
            Transacted::Done => Ok(()),
            Transacted::Refused(refusals) => {
                let id = credential.id.to_string();
                let ours = |row: &Row| row.text("id").is_ok_and(|own| own == id);
                match refusals.into_iter().flatten().filter_map(|refusal| refusal.row).find(|row| !ours(row)) {
                    None => Ok(()),
                    Some(other) => Err(other.corrupt("another credential has this key, access token or id")),
                }
            }
        }
    }

    /// All of them by id, expired ones too.
    pub async fn list(&self) -> Result<Vec<StoredCredential>, StoreError> {
        self.table.all_of("list the credentials", ALL).await?.iter().map(read).collect()
    }

    /// Removes one: from now on it is not found. `false`: there is none.
    pub async fn revoke(&self, id: ObjectId) -> Result<bool, StoreError> {
        const ACTION: &str = "revoke the credential";
        let Some(row) = self.table.get(ACTION, ALL, &id.to_string()).await? else { return Ok(false) };
        let parts = keys(&read(&row)?).map(|(pk, sk)| self.table.to_delete(ACTION, &pk, &sk));
        let parts: Vec<TransactWriteItem> = parts.into_iter().collect::<Result<_, _>>()?;
        match self.table.transact(ACTION, parts).await? {
            Transacted::Done | Transacted::Refused(_) => Ok(true),
        }
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

fn keys(credential: &StoredCredential) -> [(String, String); 3] {
    [
        (ALL.to_owned(), credential.id.to_string()),
        (by_consumer_key(&credential.consumer_key), ONE.to_owned()),
        (by_access_token_hash(&credential.access_token_hash), ONE.to_owned()),
    ]
}

// What a request names is of any length; a key of DynamoDB is not.
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
    // Not the attribute of TTL: an expired credential is told from an unknown one (contract §9: 118, 117).
    row.set_some("until", credential.expires.map(time));
    row
}

pub(super) fn read(row: &Row) -> Result<StoredCredential, StoreError> {
    let application = row.optional_text("application")?;
    let application = application.map(|id| ApplicationId::parse(id).map_err(|error| row.corrupt(error))).transpose()?;
    Ok(StoredCredential {
        id: row.parse("id")?,
        identity: Identity {
            user_id: UserId::parse(row.text("user")?).map_err(|error| row.corrupt(error))?,
            application_id: application,
            permissions: row.json("permissions")?,
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
    })
}
