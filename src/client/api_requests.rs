//! API Requests (contract §5).

use tasklane_model::ApiRequest;

use super::{Client, ClientError, HowMany, Listing, Query};

impl Client {
    /// API Requests that a query matches.
    pub async fn api_requests(&self, query: Query, how_many: HowMany) -> Result<Listing<ApiRequest>, ClientError> {
        self.list("/tasks/v1/apiRequests", query, how_many).await
    }
}
