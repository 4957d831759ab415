//! The OAuth nonces seen before (contract §7: 110).

use crate::model::Timestamp;

use super::StoreError;

/// Remembers nonces until the time stamps that they came with are out of their window.
#[derive(Clone)]
pub struct Nonces {}

impl Nonces {
    /// Remembers a nonce until `expires`. `false`: it was seen before.
    pub async fn remember(
        &self,
        consumer_key: &str,
        nonce: &str,
        timestamp: i64,
        expires: Timestamp,
    ) -> Result<bool, StoreError> {
        todo!()
    }
}
