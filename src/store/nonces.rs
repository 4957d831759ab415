//! Remembers OAuth nonces to detect replays (contract §7: 110).

use sha2::{Digest as _, Sha256};
use tasklane_auth::{NonceMemory, Sighting};
use tasklane_model::Timestamp;
use tasklane_ports::{Clock, PortError, PortFuture};

use std::sync::Arc;

use super::{
    StoreError,
    calls::CallTokens,
    change::Condition,
    row::{EXPIRES, NewRow, number, text, time},
    table::{Table, Written},
};

/// Remembers nonces until their time stamps are outside of the accepted window.
#[derive(Clone)]
pub struct Nonces {
    pub(super) control: Table,
    pub(super) calls: CallTokens,
    pub(super) clock: Arc<dyn Clock>,
}

impl Nonces {
    /// Remembers a nonce until `expires`. `false` if it was seen before with this time stamp and consumer (RFC 5849
    /// §3.3).
    pub async fn remember(
        &self,
        consumer_key: &str,
        nonce: &str,
        timestamp: i64,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        let call = self.calls.next();
        let mut row = NewRow::new(partition(consumer_key, nonce, timestamp), "-");
        row.set("until", time(expires));
        row.set(EXPIRES, number(expires.as_secs() + 1));
        row.set("writtenBy", text(&call));
        let unseen = Condition::new("attribute_not_exists(#pk) OR #until <= :now").with("now", time(self.clock.now()));
        match self.control.put("remember the nonce", row, unseen).await? {
            Written::Done(_) => Ok(true),
            Written::Refused(Some(row)) => Ok(row.optional_text("writtenBy")? == Some(&call)),
            Written::Refused(None) => Ok(false),
        }
    }
}

impl NonceMemory for Nonces {
    fn remember<'a>(&'a self, sighting: Sighting<'a>) -> PortFuture<'a, Result<bool, PortError>> {
        Box::pin(async move {
            let Sighting { consumer_key, nonce, timestamp, expires } = sighting;
            let first = Self::remember(self, consumer_key, nonce, timestamp, expires).await;
            first.map_err(|error| PortError::new("remember a nonce", error))
        })
    }
}

/// Values from clients may have any length; DynamoDB's keys may not.
fn partition(consumer_key: &str, nonce: &str, timestamp: i64) -> String {
    let mut hash = Sha256::new();
    for part in [consumer_key, nonce] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.update(timestamp.to_be_bytes());
    format!("nonce:{}", hex::encode(hash.finalize()))
}
