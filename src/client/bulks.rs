//! Bulk operations (contract §17).

use reqwest::Method;
use serde::Serialize;
use tasklane_model::{AffectedRecords, Bulk, BulkAction, BulkCreated, Json, ObjectId, PerSecond, Priority, Timestamp};

use super::{Client, ClientError, HowMany, Listing, Query, Record, transport::Call};

/// The body of `POST /bulk`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewBulkBody {
    /// What to do with each Task.
    pub action: BulkAction,
    /// The Tasks, by a query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rql: Option<String>,
    /// The Tasks, by their ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<ObjectId>>,
    /// When the Tasks are due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Timestamp>,
    /// The priority of the Tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The input of the Tasks that a replay creates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
    /// Whether the Tasks are only counted.
    pub dry_run: bool,
    /// How many Tasks to handle in a second, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<PerSecond>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

const BULK: &str = "/tasklane/v1/bulk";

impl Client {
    /// Creates a bulk operation, or counts its Tasks.
    pub async fn create_bulk(&self, body: &NewBulkBody) -> Result<Record<BulkCreated>, ClientError> {
        self.call(Call::post(BULK).json(body)?).await
    }

    /// Bulk operations that a query matches.
    pub async fn bulks(&self, query: Query, how_many: HowMany) -> Result<Listing<Bulk>, ClientError> {
        self.list(BULK, query, how_many).await
    }

    /// A bulk operation and its progress.
    pub async fn bulk(&self, id: ObjectId) -> Result<Record<Bulk>, ClientError> {
        self.call(Call::new(Method::GET, format!("{BULK}/{id}"))).await
    }

    /// Stops a bulk operation.
    pub async fn stop_bulk(&self, id: ObjectId) -> Result<Record<AffectedRecords>, ClientError> {
        self.call(Call::new(Method::DELETE, format!("{BULK}/{id}"))).await
    }
}
