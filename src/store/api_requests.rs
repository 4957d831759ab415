//! API Requests.

use crate::model::{ApiRequest, ObjectId, Page, Timestamp};
use crate::rql;

use super::StoreError;

/// The table of API Requests.
#[derive(Clone)]
pub struct ApiRequests {}

impl ApiRequests {
    /// Adds one.
    pub async fn put(&self, request: &ApiRequest) -> Result<(), StoreError> {
        todo!()
    }

    /// Reads one, strongly consistent.
    pub async fn get(&self, id: ObjectId) -> Result<Option<ApiRequest>, StoreError> {
        todo!()
    }

    /// The records that meet the query, as callers see them.
    pub async fn list(&self, query: &rql::Query, now: Timestamp) -> Result<Page<serde_json::Value>, StoreError> {
        todo!()
    }
}
