//! Credentials, sealed or hashed.

use crate::{
    auth::{CredentialSource, StoredCredential},
    model::ObjectId,
    ports::{PortError, PortFuture},
};

use super::StoreError;

/// The table of credentials.
#[derive(Clone)]
pub struct Credentials {}

impl Credentials {
    /// Adds one.
    pub async fn put(&self, credential: &StoredCredential) -> Result<(), StoreError> {
        todo!()
    }

    /// All of them by id, expired ones too.
    pub async fn list(&self) -> Result<Vec<StoredCredential>, StoreError> {
        todo!()
    }

    /// Removes one: from now on it is not found. `false`: there is none.
    pub async fn revoke(&self, id: ObjectId) -> Result<bool, StoreError> {
        todo!()
    }
}

impl CredentialSource for Credentials {
    fn by_consumer_key<'a>(&'a self, key: &'a str) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>> {
        todo!()
    }

    fn by_token<'a>(&'a self, token: &'a str) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>> {
        todo!()
    }

    fn by_access_token_hash<'a>(
        &'a self,
        hash: &'a [u8; 32],
    ) -> PortFuture<'a, Result<Option<StoredCredential>, PortError>> {
        todo!()
    }
}
