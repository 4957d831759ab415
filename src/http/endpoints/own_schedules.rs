//! `/tasklane/v1/schedules`: Schedules with cron expressions, time zones, and rules for what comes late (contract §15). These
//! endpoints have no counterpart upstream.

use http::Method;
use serde::Serialize;
use tasklane_model::{
    AffectedRecords, BulkCreated, CatchUp, Cron, Error, ErrorKind, FunctionName, IdempotencyKey, Interval,
    Json as AnyJson, ManagedBy, NewSchedule, OnComplete, Overlap, PerSecond, Priority, RecurrenceFields, Result,
    Schedule, ScheduleChange, ScheduleName, Task, TimeZone, Timestamp, once::IDEMPOTENCY_KEY,
};
use tasklane_service::{Backfill, ScheduleEndpoint, Service};
use utoipa::ToSchema;

use super::schedules::{delete, list};
use crate::{
    access::{
        Allowed,
        permission::{CreateTaskSchedule, ViewTaskSchedules},
    },
    answer::Json,
    body::{Fields, Reason},
    config::BodyLimits,
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
    once::{HasKey, OnceBody, Replayable},
    params::{Count, Id},
};

const ALL: &str = "/tasklane/v1/schedules";
const ONE: &str = "/tasklane/v1/schedules/{scheduleId}";

pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::GET, ALL, "listSchedulesOfAllKinds", list)
            .summary("List Schedules, whether they have an interval or a cron expression")
            .about("The same list as `GET /tasks/v1/schedules`.")
            .fails(&[ErrorKind::LongQuery, ErrorKind::TooManyRequests]),
        Endpoint::new(Method::POST, ALL, "createScheduleOfAnyKind", create)
            .summary("Create a Schedule with an interval or a cron expression")
            .about(
                "A fixed time that the change to summer time leaves out counts at the end of the gap, once; one that happens \
                 twice in autumn counts the first time. An expression with `*` in seconds, minutes or hours follows the clock \
                 through both.",
            )
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::IllegalArgument]),
        Endpoint::new(Method::GET, ONE, "getSchedule", get)
            .summary("Read a Schedule")
            .fails(&[ErrorKind::ResourceUnknown]),
        Endpoint::new(Method::PUT, ONE, "updateSchedule", update)
            .summary("Change a Schedule")
            .about(
                "Absent fields keep their values; `null` removes an optional one. Its next occurrence is the first one from \
                 now on.",
            )
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::IllegalArgument, ErrorKind::ConflictingUpdate]),
        Endpoint::new(Method::DELETE, ONE, "removeSchedule", delete)
            .summary("Delete a Schedule of any kind")
            .about("Tasks that it has created stay.")
            .fails(&[ErrorKind::ResourceUnknown]),
        Endpoint::new(Method::POST, "/tasklane/v1/schedules/{scheduleId}/pause", "pauseSchedule", pause)
            .summary("Pause a Schedule")
            .about("What comes due meanwhile is not made up for.")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::ConflictingUpdate]),
        Endpoint::new(Method::POST, "/tasklane/v1/schedules/{scheduleId}/resume", "resumeSchedule", resume)
            .summary("Let a paused Schedule go on")
            .about("From its next occurrence on.")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::ConflictingUpdate]),
        Endpoint::new(Method::POST, "/tasklane/v1/schedules/{scheduleId}/backfill", "backfillSchedule", backfill)
            .summary("Create the Tasks of past occurrences")
            .about(
                "A bulk operation: it creates a Task for each occurrence in a range of time, whether there was one or not, also \
                 before the Schedule's start. Each starts at once, and has the time of its occurrence in `occurrenceTimestamp`. \
                 Read the progress with `GET /tasklane/v1/bulk/{bulkId}`. With `dryRun` the occurrences are only counted.",
            )
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::IllegalArgument, ErrorKind::TooManyRequests]),
        Endpoint::new(Method::POST, "/tasklane/v1/schedules/{scheduleId}/run", "runSchedule", run)
            .summary("Create a Task of a Schedule now")
            .about("Whether or not it is paused, and whatever `overlap` says: it is no occurrence, and nothing waits for it.")
            .fails(&[ErrorKind::ResourceUnknown]),
        Endpoint::new(Method::GET, "/tasklane/v1/schedules/{scheduleId}/next", "listOccurrences", next)
            .summary("List the next occurrences of a Schedule")
            .about("As if it were not paused.")
            .fails(&[ErrorKind::ResourceUnknown]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Schedules")).collect()
}

async fn create(
    service: Service,
    access: Allowed<CreateTaskSchedule>,
    OnceBody { body, once }: OnceBody<JsonBody<CompleteSchedule>>,
) -> Result<Replayable<Json<Schedule>>> {
    let (new, once) = (body.0.new_schedule()?, once.as_ref());
    service.create_schedule_once(access.caller(), new, once, ScheduleEndpoint::Own).await.map(Replayable::of)
}

async fn get(service: Service, _: Allowed<ViewTaskSchedules>, Id(schedule): Id) -> Result<Json<Schedule>> {
    service.get_schedule(schedule).await.map(Json::of)
}

async fn update(
    service: Service,
    _: Allowed<CreateTaskSchedule>,
    Id(schedule): Id,
    JsonBody(change): JsonBody<ScheduleUpdate>,
) -> Result<Json<AffectedRecords>> {
    service.update_schedule(schedule, change.into()).await.map(Json::of)
}

async fn pause(service: Service, _: Allowed<CreateTaskSchedule>, Id(schedule): Id) -> Result<Json<AffectedRecords>> {
    service.enable_schedule(schedule, false).await.map(Json::of)
}

async fn resume(service: Service, _: Allowed<CreateTaskSchedule>, Id(schedule): Id) -> Result<Json<AffectedRecords>> {
    service.enable_schedule(schedule, true).await.map(Json::of)
}

async fn run(service: Service, access: Allowed<CreateTaskSchedule>, Id(schedule): Id) -> Result<Json<Task>> {
    service.run_schedule(access.caller(), schedule).await.map(Json::of)
}

async fn backfill(
    service: Service,
    access: Allowed<CreateTaskSchedule>,
    Id(schedule): Id,
    JsonBody(body): JsonBody<BackfillBody>,
) -> Result<Json<BulkCreated>> {
    service.backfill_schedule(access.caller(), schedule, body.into()).await.map(Json::of)
}

async fn next(
    service: Service,
    _: Allowed<ViewTaskSchedules>,
    (Id(schedule), Count(count)): (Id, Count),
) -> Result<Json<Occurrences>> {
    let data = service.next_occurrences(schedule, count.into()).await?;
    Ok(Json::of(Occurrences { data }))
}

/// Which past occurrences get Tasks, and how.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct BackfillBody {
    /// The first moment.
    from: Timestamp,
    /// The last moment. There may be 1,000 occurrences between the two.
    to: Timestamp,
    /// Whether the occurrences are only counted. Default: false.
    dry_run: Option<bool>,
    /// How many Tasks to create in a second, at most. Default: as many as possible.
    per_second: Option<PerSecond>,
    /// Why, for those who read it later: at most 256 characters.
    #[schema(value_type = Option<String>)]
    reason: Option<Reason>,
}

impl FromFields for BackfillBody {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            from: fields.required("from")?,
            to: fields.required("to")?,
            dry_run: fields.optional("dryRun")?,
            per_second: fields.optional("perSecond")?,
            reason: fields.optional("reason")?,
        })
    }
}

impl From<BackfillBody> for Backfill {
    fn from(body: BackfillBody) -> Self {
        let BackfillBody { from, to, dry_run, per_second, reason } = body;
        Self { from, to, dry_run: dry_run.unwrap_or(false), per_second, reason: reason.map(|reason| reason.0) }
    }
}

/// Occurrences to come.
#[derive(Debug, Serialize, ToSchema)]
struct Occurrences {
    /// Earliest first.
    data: Vec<Timestamp>,
}

/// A Schedule to create; either `interval` or `cron` is required.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CompleteSchedule {
    /// What it is called. Several Schedules may have the same name.
    name: Option<ScheduleName>,
    /// Seconds between two occurrences.
    interval: Option<Interval>,
    /// Five fields (minute, hour, day of month, month, day of week) or six with seconds first, with names, `L` and `#`.
    cron: Option<Cron>,
    /// The time zone of `cron`, by its IANA name. Default: UTC.
    timezone: Option<TimeZone>,
    /// The Function to run.
    function_name: FunctionName,
    /// The `data` of each Task: any JSON, at most 250 KB.
    data: Option<AnyJson>,
    /// The priority of each Task. Default: the Function's default priority.
    priority: Option<Priority>,
    /// What runs once each of its Tasks is final.
    on_complete: Option<OnComplete>,
    /// What happens when an occurrence comes before the end of the one before and its retries. Default: `allow`.
    overlap: Option<Overlap>,
    /// What happens to occurrences that were missed while nothing ran. Default: `latest`.
    catch_up: Option<CatchUp>,
    /// There is no occurrence before; with an interval it is the first one. Default: now.
    start_timestamp: Option<Timestamp>,
    /// There is no occurrence after.
    end_timestamp: Option<Timestamp>,
    /// Whether it creates Tasks. Default: true.
    enabled: Option<bool>,
    /// `sync` if `tasklane sync` keeps it up to date.
    managed_by: Option<ManagedBy>,
    /// The same as the header `Idempotency-Key`.
    idempotency_key: Option<IdempotencyKey>,
}

impl FromFields for CompleteSchedule {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            name: fields.optional("name")?,
            interval: fields.optional("interval")?,
            cron: fields.optional("cron")?,
            timezone: fields.optional("timezone")?,
            function_name: fields.required("functionName")?,
            data: fields.json("data")?,
            priority: fields.optional("priority")?,
            on_complete: super::tasks::on_complete(fields)?,
            overlap: fields.optional("overlap")?,
            catch_up: fields.optional("catchUp")?,
            start_timestamp: fields.optional("startTimestamp")?,
            end_timestamp: fields.optional("endTimestamp")?,
            enabled: fields.optional("enabled")?,
            managed_by: fields.optional("managedBy")?,
            idempotency_key: fields.optional(IDEMPOTENCY_KEY)?,
        })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.task
    }
}

impl CompleteSchedule {
    /// The Schedule; 14 or 26 when its fields do not say how it repeats.
    fn new_schedule(self) -> Result<NewSchedule> {
        let fields = RecurrenceFields { interval: self.interval, cron: self.cron, timezone: self.timezone };
        let recurrence = fields.change(None)?.ok_or_else(|| Error::missing_fields(&["interval"]))?;
        Ok(NewSchedule {
            name: self.name,
            recurrence,
            function_name: self.function_name,
            data: self.data,
            priority: self.priority,
            start_timestamp: self.start_timestamp,
            end_timestamp: self.end_timestamp,
            enabled: self.enabled.unwrap_or(true),
            overlap: self.overlap,
            catch_up: self.catch_up,
            on_complete: self.on_complete,
            managed_by: self.managed_by,
        })
    }
}

impl HasKey for CompleteSchedule {
    fn key(&self) -> Option<&IdempotencyKey> {
        self.idempotency_key.as_ref()
    }
}

/// A change of a Schedule. Absent fields keep their values; `null` removes an optional one.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ScheduleUpdate {
    /// What it is called.
    #[schema(value_type = Option<ScheduleName>)]
    name: Option<Option<ScheduleName>>,
    /// Seconds between two occurrences, in place of a cron expression.
    interval: Option<Interval>,
    /// A cron expression, in place of an interval or of another expression.
    cron: Option<Cron>,
    /// The time zone of `cron`.
    timezone: Option<TimeZone>,
    /// The Function to run.
    function_name: Option<FunctionName>,
    /// The `data` of each Task: any JSON, at most 250 KB.
    data: Option<AnyJson>,
    /// The priority of each Task.
    #[schema(value_type = Option<Priority>)]
    priority: Option<Option<Priority>>,
    /// What runs once each of its Tasks is final. Replaced as a whole.
    #[schema(value_type = Option<OnComplete>)]
    on_complete: Option<Option<OnComplete>>,
    /// What happens when an occurrence comes before the end of the one before and its retries.
    #[schema(value_type = Option<Overlap>)]
    overlap: Option<Option<Overlap>>,
    /// What happens to occurrences that were missed while nothing ran.
    #[schema(value_type = Option<CatchUp>)]
    catch_up: Option<Option<CatchUp>>,
    /// There is no occurrence before; with an interval it is the first one.
    start_timestamp: Option<Timestamp>,
    /// There is no occurrence after.
    #[schema(value_type = Option<Timestamp>)]
    end_timestamp: Option<Option<Timestamp>>,
    /// Whether it creates Tasks: `false` pauses it.
    enabled: Option<bool>,
}

impl FromFields for ScheduleUpdate {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            name: fields.clearable("name")?,
            interval: fields.optional("interval")?,
            cron: fields.optional("cron")?,
            timezone: fields.optional("timezone")?,
            function_name: fields.optional("functionName")?,
            data: fields.json("data")?,
            priority: fields.clearable("priority")?,
            on_complete: fields.has("onComplete").then(|| super::tasks::on_complete(fields)).transpose()?,
            overlap: fields.clearable("overlap")?,
            catch_up: fields.clearable("catchUp")?,
            start_timestamp: fields.optional("startTimestamp")?,
            end_timestamp: fields.clearable("endTimestamp")?,
            enabled: fields.optional("enabled")?,
        })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.task
    }
}

impl From<ScheduleUpdate> for ScheduleChange {
    fn from(body: ScheduleUpdate) -> Self {
        Self {
            name: body.name,
            recurrence: RecurrenceFields { interval: body.interval, cron: body.cron, timezone: body.timezone },
            function_name: body.function_name,
            data: body.data,
            priority: body.priority,
            start_timestamp: body.start_timestamp,
            end_timestamp: body.end_timestamp,
            enabled: body.enabled,
            overlap: body.overlap,
            catch_up: body.catch_up,
            on_complete: body.on_complete,
        }
    }
}
