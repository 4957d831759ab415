//! API Requests: list (contract §5).

use tasklane_model::{Caller, Json, Page, Result};
use tasklane_rql::Query;

use super::Service;

impl Service {
    /// A page of API Requests. It includes every call that was answered before, unless its record was lost.
    pub async fn list_api_requests(&self, caller: &Caller, query: &Query) -> Result<Page<Json>> {
        let _turn = self.turn_of(caller, query).await?;
        self.inner.recorder.write().await;
        Ok(self.inner.store.api_requests.list(query, self.inner.ports.clock.now()).await?)
    }
}
