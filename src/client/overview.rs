//! The whole service at a glance (contract §23).

use tasklane_model::{Overview, Page, RunStats, StatsRange};

use super::{Client, ClientError, Record, transport::Call};

impl Client {
    /// What the service is doing now.
    pub async fn overview(&self) -> Result<Record<Overview>, ClientError> {
        self.call(Call::get("/tasklane/v1/overview")).await
    }

    /// How runs ended in this range, by step and Function, the earliest first.
    ///
    /// # Errors
    /// Status 404 without a code where nothing is remembered, and the errors that every request can have.
    pub async fn stats(&self, range: StatsRange) -> Result<Vec<RunStats>, ClientError> {
        let StatsRange { from, to, step, per_function } = range;
        let query = format!("from={from}&to={to}&step={}&perFunction={per_function}", step.as_secs());
        Ok(self.call::<Page<_>>(Call::get("/tasklane/v1/stats").query(query)).await?.value.data)
    }
}
