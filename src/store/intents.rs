//! Calls with idempotency keys: what each of them is about to create (contract §11).
//!
//! A call first writes down its intent: the ids and times of the records as they will be. Then it creates them under
//! these ids, on condition that they do not exist. A repeated call, in any process, finds the intent and continues
//! with the same values. So each key gets one record, even if a process crashes in between, and no transaction is needed.

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::types::TransactWriteItem;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use tasklane_model::{Once, OnceScope, Timestamp};
use tasklane_ports::Clock;

use super::{
    StoreError,
    change::Condition,
    row::{EXPIRES, NewRow, Row, json, number, text},
    table::{Table, Written},
};

/// How long a key is remembered.
pub const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The first format with intents.
const FORMAT: u32 = 2;

/// The calls whose keys are remembered.
#[derive(Clone)]
pub struct Intents {
    pub(super) control: Table,
    pub(super) clock: Arc<dyn Clock>,
}

/// An intent that was found under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// The call had the same body.
    Same(T),
    /// The call had another body.
    OtherBody,
}

impl Intents {
    /// The intent under a key.
    pub async fn find<T: DeserializeOwned>(
        &self,
        scope: &OnceScope,
        once: &Once,
    ) -> Result<Option<Found<T>>, StoreError> {
        match self.control.get("look the idempotency key up", &partition(scope, once), "-").await? {
            Some(row) if !row.is_expired(self.clock.now()) => read(&row, once).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// Writes an intent down, and returns the one that counts from now on: this one, or an earlier one under the same
    /// key.
    pub async fn begin<T>(&self, scope: &OnceScope, once: &Once, intent: T) -> Result<Found<T>, StoreError>
    where
        T: Serialize + DeserializeOwned,
    {
        let now = self.clock.now();
        match self.control.put("write the intent down", new_row(scope, once, &intent, now), unknown(now)).await? {
            Written::Done(_) | Written::Refused(None) => Ok(Found::Same(intent)),
            // This may also be our own write, whose response was lost: then the intents are the same.
            Written::Refused(Some(row)) => read(&row, once),
        }
    }

    /// A part of a transaction that writes an intent down, if there is none under this key.
    pub(super) fn to_begin<T: Serialize>(
        &self,
        action: &'static str,
        scope: &OnceScope,
        once: &Once,
        intent: &T,
    ) -> Result<TransactWriteItem, StoreError> {
        let now = self.clock.now();
        self.control.to_put_when(action, new_row(scope, once, intent, now), unknown(now))
    }
}

/// The intent in a row, which may be that of another body.
pub(super) fn read<T: DeserializeOwned>(row: &Row, once: &Once) -> Result<Found<T>, StoreError> {
    Ok(if row.text("digest")? == once.body.to_hex() { Found::Same(row.json("intent")?) } else { Found::OtherBody })
}

fn new_row<T: Serialize>(scope: &OnceScope, once: &Once, intent: &T, now: Timestamp) -> NewRow {
    let mut row = NewRow::new(partition(scope, once), "-").in_format(FORMAT);
    row.set("digest", text(once.body.to_hex()));
    row.set("intent", json(intent));
    // Rounded up, because it must not expire early.
    row.set(EXPIRES, number(now.saturating_add(REMEMBERED).as_secs() + 1));
    row
}

/// The key is not in use. TTL removes expired rows some time later.
fn unknown(now: Timestamp) -> Condition {
    Condition::new("attribute_not_exists(#pk) OR #expires <= :now").with("now", number(now.as_secs()))
}

/// Keys may have 1,020 bytes, and belong to their users.
fn partition(scope: &OnceScope, once: &Once) -> String {
    let mut hash = Sha256::new();
    let application = scope.application.as_ref().map_or("", |id| id.as_str());
    for part in [scope.user.as_str(), application, &scope.endpoint, once.key.as_str()] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    format!("idem:{}", hex::encode(hash.finalize()))
}
