//! API Requests: list (contract §5).

use super::Service;
use crate::{
    model::{Json, Page, Result},
    rql::Query,
};

impl Service {
    /// A page of API Requests.
    pub async fn list_api_requests(&self, query: &Query) -> Result<Page<Json>> {
        Ok(self.inner.store.api_requests.list(query, self.inner.ports.clock.now()).await?)
    }
}
