//! Schedules (contract §3).

use reqwest::Method;
use serde::Serialize;
use tasklane_model::{
    AffectedRecords, FunctionName, IdempotencyKey, Interval, Json, ObjectId, OnComplete, Priority, Schedule, Timestamp,
};

use super::{Client, ClientError, HowMany, Listing, Query, Record, transport::Call};

/// The body of `POST /schedules`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewScheduleBody {
    /// Seconds between two Tasks.
    pub interval: Interval,
    /// The Function to run.
    pub function_name: FunctionName,
    /// The input of each Task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
    /// The priority of each Task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// When the first Task is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Timestamp>,
    /// What runs once each of its Tasks is final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_complete: Option<OnComplete>,
    /// Names the call, so that it has an effect only once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

const SCHEDULES: &str = "/tasks/v1/schedules";

impl Client {
    /// Schedules that a query matches.
    pub async fn schedules(&self, query: Query, how_many: HowMany) -> Result<Listing<Schedule>, ClientError> {
        self.list(SCHEDULES, query, how_many).await
    }

    /// Creates a Schedule.
    pub async fn create_schedule(&self, body: &NewScheduleBody) -> Result<Record<Schedule>, ClientError> {
        self.call(Call::post(SCHEDULES).json(body)?.once_if(body.idempotency_key.as_ref())).await
    }

    /// Deletes a Schedule; the Tasks that it created stay.
    pub async fn delete_schedule(&self, id: ObjectId) -> Result<Record<AffectedRecords>, ClientError> {
        self.call(Call::new(Method::DELETE, format!("{SCHEDULES}/{id}"))).await
    }
}
