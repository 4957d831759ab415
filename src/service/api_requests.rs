//! API Requests: list, logs (contract §5).

use serde_json::Value;

use super::{LogsAnswer, Service};
use crate::{
    model::{Error, ObjectId, Page, Result},
    rql::{LogBounds, Query},
};

impl Service {
    /// A page of API Requests.
    pub async fn list_api_requests(&self, query: &Query) -> Result<Page<Value>> {
        let _ = query;
        Err(Error::internal("not built yet"))
    }

    /// What an API Request's run logged; 16 when there is no such record, 1408 when nothing is found yet.
    pub async fn api_request_logs(&self, id: ObjectId, bounds: &LogBounds) -> Result<LogsAnswer> {
        let _ = (id, bounds);
        Err(Error::internal("not built yet"))
    }
}
