//! Flow by key (contract §14).

use reqwest::Method;
use tasklane_model::{AffectedRecords, Flow, FlowKeyState, FunctionName};

use super::{Client, ClientError, HowMany, Listing, Query, Record, transport::Call};

impl Client {
    /// The keys of a Function of which something runs or waits, the busiest first.
    pub async fn flow_keys(
        &self,
        function: &FunctionName,
        query: Query,
        how_many: HowMany,
    ) -> Result<Listing<FlowKeyState>, ClientError> {
        self.list(&path(function), query, how_many).await
    }

    /// Sets the flow of a Function.
    pub async fn set_flow(&self, function: &FunctionName, flow: &Flow) -> Result<Record<AffectedRecords>, ClientError> {
        self.call(Call::new(Method::PUT, path(function)).json(flow)?).await
    }

    /// Removes the flow of a Function.
    pub async fn remove_flow(&self, function: &FunctionName) -> Result<Record<AffectedRecords>, ClientError> {
        self.call(Call::new(Method::DELETE, path(function))).await
    }
}

fn path(function: &FunctionName) -> String {
    format!("/tasklane/v1/functions/{function}/flow")
}
