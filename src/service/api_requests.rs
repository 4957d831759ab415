//! API Requests: list (contract §5).

use serde_json::Value;

use super::Service;
use crate::{
    model::{Page, Result},
    rql::Query,
};

impl Service {
    /// A page of API Requests.
    pub async fn list_api_requests(&self, query: &Query) -> Result<Page<Value>> {
        Ok(self.inner.store.api_requests.list(query, self.inner.ports.clock.now()).await?)
    }
}
