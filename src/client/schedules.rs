//! Schedules (contract §3, §15).

use reqwest::Method;
use serde::{Deserialize, Serialize};
use tasklane_model::{
    AffectedRecords, BulkCreated, CatchUp, Cron, FunctionName, IdempotencyKey, Interval, Json, ManagedBy, ObjectId,
    OnComplete, Overlap, PerSecond, Priority, Schedule, ScheduleName, Task, TimeZone, Timestamp,
};

use super::{Client, ClientError, HowMany, Listing, Query, Record, transport::Call};

/// The fields of a Schedule that callers set. For a change, absent fields keep their values, and `Some(None)` removes one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleBody {
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Option<ScheduleName>>,
    /// Seconds between two Tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// When a Task is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<Cron>,
    /// The time zone of `cron`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<TimeZone>,
    /// The Function to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_name: Option<FunctionName>,
    /// The input of each Task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
    /// The priority of each Task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Option<Priority>>,
    /// There is no Task before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Timestamp>,
    /// There is no Task after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_timestamp: Option<Option<Timestamp>>,
    /// Whether it creates Tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What happens when a Task is due before the end of the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Option<Overlap>>,
    /// What happens to what was missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<Option<CatchUp>>,
    /// What runs once each of its Tasks is final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_complete: Option<Option<OnComplete>>,
    /// What keeps it up to date. Only at its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<ManagedBy>,
    /// Names the call, so that it has an effect only once. Only at its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// Occurrences to come.
#[derive(Clone, Debug, Deserialize)]
pub struct Occurrences {
    /// Earliest first.
    pub data: Vec<Timestamp>,
}

/// The body of `POST /schedules/{id}/backfill`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackfillBody {
    /// The first moment.
    pub from: Timestamp,
    /// The last moment.
    pub to: Timestamp,
    /// Whether the occurrences are only counted.
    pub dry_run: bool,
    /// How many Tasks to create in a second, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<PerSecond>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

const SCHEDULES: &str = "/tasklane/v1/schedules";

impl Client {
    /// Creates the Tasks of a Schedule's past occurrences, or counts them.
    pub async fn backfill_schedule(
        &self,
        id: ObjectId,
        body: &BackfillBody,
    ) -> Result<Record<BulkCreated>, ClientError> {
        self.call(Call::post(format!("{SCHEDULES}/{id}/backfill")).json(body)?).await
    }

    /// Schedules that a query matches.
    pub async fn schedules(&self, query: Query, how_many: HowMany) -> Result<Listing<Schedule>, ClientError> {
        self.list(SCHEDULES, query, how_many).await
    }

    /// Creates a Schedule.
    pub async fn create_schedule(&self, body: &ScheduleBody) -> Result<Record<Schedule>, ClientError> {
        self.call(Call::post(SCHEDULES).json(body)?.once_if(body.idempotency_key.as_ref())).await
    }

    /// A Schedule.
    pub async fn schedule(&self, id: ObjectId) -> Result<Record<Schedule>, ClientError> {
        self.call(Call::get(format!("{SCHEDULES}/{id}"))).await
    }

    /// Changes a Schedule.
    pub async fn update_schedule(
        &self,
        id: ObjectId,
        body: &ScheduleBody,
    ) -> Result<Record<AffectedRecords>, ClientError> {
        self.call(Call::new(Method::PUT, format!("{SCHEDULES}/{id}")).json(body)?).await
    }

    /// Deletes a Schedule; the Tasks that it created stay.
    pub async fn delete_schedule(&self, id: ObjectId) -> Result<Record<AffectedRecords>, ClientError> {
        self.call(Call::new(Method::DELETE, format!("{SCHEDULES}/{id}"))).await
    }

    /// Pauses a Schedule, or lets it go on.
    pub async fn enable_schedule(&self, id: ObjectId, enabled: bool) -> Result<Record<AffectedRecords>, ClientError> {
        let what = if enabled { "resume" } else { "pause" };
        self.call(Call::post(format!("{SCHEDULES}/{id}/{what}"))).await
    }

    /// Creates a Task of a Schedule now.
    pub async fn run_schedule(&self, id: ObjectId) -> Result<Record<Task>, ClientError> {
        self.call(Call::post(format!("{SCHEDULES}/{id}/run"))).await
    }

    /// The next occurrences of a Schedule, at most `count` of 100.
    pub async fn next_occurrences(&self, id: ObjectId, count: u8) -> Result<Record<Occurrences>, ClientError> {
        self.call(Call::get(format!("{SCHEDULES}/{id}/next")).query(format!("count={count}"))).await
    }
}
