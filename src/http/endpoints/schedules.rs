//! `/tasks/v1/schedules`: Schedules.

use http::Method;
use tasklane_model::{
    AffectedRecords, ErrorKind, FunctionName, IdempotencyKey, Interval, Json as AnyJson, NewSchedule, OnComplete, Page,
    Priority, Recurrence, Result, Schedule, Timestamp, once::IDEMPOTENCY_KEY,
};
use tasklane_rql::Schema;
use tasklane_service::{ScheduleEndpoint, Service};
use utoipa::ToSchema;

use crate::{
    access::{
        Allowed,
        permission::{CreateTaskSchedule, DeleteTaskSchedule, ViewTaskSchedules},
    },
    answer::Json,
    body::Fields,
    config::BodyLimits,
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
    once::{HasKey, OnceBody, Replayable},
    params::{Id, Listed, Rql},
};

pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::GET, "/tasks/v1/schedules", "listSchedules", list)
            .summary("List Schedules")
            .fails(&[ErrorKind::LongQuery, ErrorKind::TooManyRequests]),
        Endpoint::new(Method::POST, "/tasks/v1/schedules", "createSchedule", create)
            .summary("Create a Schedule")
            .about("It creates a Task at `startTimestamp` and then once per interval. Occurrences missed while the service was down are made up for by a single Task.")
            .fails(&[ErrorKind::ResourceUnknown]),
        Endpoint::new(Method::DELETE, "/tasks/v1/schedules/{scheduleId}", "deleteSchedule", delete)
            .summary("Delete a Schedule")
            .about("Tasks that it has created stay.")
            .fails(&[ErrorKind::ResourceUnknown]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Schedules")).collect()
}

#[derive(Debug)]
pub enum Schedules {}

impl Listed for Schedules {
    const SCHEMA: Schema = Schema::SCHEDULES;
    const CONDITION: &'static str = "eq(functionName,invoices)";
}

pub(super) async fn list(
    service: Service,
    access: Allowed<ViewTaskSchedules>,
    rql: Rql<Schedules>,
) -> Result<Json<Page<AnyJson>, Page<Schedule>>> {
    service.list_schedules(access.caller(), &rql.query).await.map(Json::of)
}

async fn create(
    service: Service,
    access: Allowed<CreateTaskSchedule>,
    OnceBody { body: JsonBody(body), once }: OnceBody<JsonBody<ScheduleCreation>>,
) -> Result<Replayable<Json<Schedule>>> {
    service
        .create_schedule_once(access.caller(), body.into(), once.as_ref(), ScheduleEndpoint::Upstream)
        .await
        .map(Replayable::of)
}

pub(super) async fn delete(
    service: Service,
    _: Allowed<DeleteTaskSchedule>,
    Id(schedule): Id,
) -> Result<Json<AffectedRecords>> {
    service.delete_schedule(schedule).await.map(Json::of)
}

/// A Schedule to create.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ScheduleCreation {
    /// Seconds between two Tasks.
    interval: Interval,
    /// The Function to run.
    function_name: FunctionName,
    /// The `data` of each Task: any JSON, at most 250 KB.
    data: Option<AnyJson>,
    /// The priority of each Task. Default: the Function's default priority.
    priority: Option<Priority>,
    /// When the first Task is due. Default: now.
    start_timestamp: Option<Timestamp>,
    /// What runs once each of its Tasks is final.
    on_complete: Option<OnComplete>,
    /// The same as the header `Idempotency-Key`.
    idempotency_key: Option<IdempotencyKey>,
}

impl FromFields for ScheduleCreation {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        fields.require(&["interval", "functionName"])?;
        Ok(Self {
            interval: fields.required("interval")?,
            function_name: fields.required("functionName")?,
            data: fields.json("data")?,
            priority: fields.optional("priority")?,
            start_timestamp: fields.optional("startTimestamp")?,
            on_complete: super::tasks::on_complete(fields)?,
            idempotency_key: fields.optional(IDEMPOTENCY_KEY)?,
        })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.task
    }
}

impl HasKey for ScheduleCreation {
    fn key(&self) -> Option<&IdempotencyKey> {
        self.idempotency_key.as_ref()
    }
}

impl From<ScheduleCreation> for NewSchedule {
    fn from(body: ScheduleCreation) -> Self {
        Self {
            data: body.data,
            priority: body.priority,
            start_timestamp: body.start_timestamp,
            on_complete: body.on_complete,
            ..Self::of(body.function_name, Recurrence::Every(body.interval))
        }
    }
}
