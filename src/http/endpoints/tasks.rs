//! `/tasks/v1` and `/tasks/v1/{taskId}/…`: Tasks (contract §4).

use http::Method;
use tasklane_model::{
    AffectedRecords, ByteSize, Debounce, Error, ErrorKind, FlowKey, FunctionName, IdempotencyKey, Json as AnyJson,
    NewTask, OnComplete, Page, Priority, Result, Tags, Task, TaskEvents, TaskOptions, Timeouts, Timestamp,
    follow::MAX_CONTEXT_BYTES, once::IDEMPOTENCY_KEY,
};
use tasklane_rql::Schema;
use tasklane_service::{LogsAnswer, Service};
use utoipa::ToSchema;

use crate::{
    access::{
        Allowed,
        permission::{CancelTasks, CreateTasks, ViewTaskLogs, ViewTasks},
    },
    answer::Json,
    body::Fields,
    config::BodyLimits,
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
    once::{HasKey, OnceBody, Replayable},
    params::{Id, Listed, Rql, RunLogRql},
};

pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::GET, "/tasks/v1", "listTasks", list)
            .summary("List Tasks")
            .about("By default, newest first.")
            .fails(&[ErrorKind::LongQuery, ErrorKind::TooManyRequests]),
        Endpoint::new(Method::POST, "/tasks/v1", "createTask", create)
            .summary("Create a Task")
            .about("It runs after its `startTimestamp`, when its turn comes. Higher `priority` runs first, then the earlier start.")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::IllegalArgument, ErrorKind::ConflictingUpdate]),
        Endpoint::new(Method::POST, "/tasks/v1/{taskId}/cancel", "cancelTask", cancel)
            .summary("Cancel a Task")
            .about("Only a Task that is still `new` can be canceled.")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::IllegalState]),
        Endpoint::new(Method::GET, "/tasks/v1/{taskId}/logs", "getTaskLogs", logs)
            .summary("Read the logs of a Task")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::IllegalState, ErrorKind::NoTaskLogsFound]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Tasks")).collect()
}

#[derive(Debug)]
pub enum Tasks {}

impl Listed for Tasks {
    const SCHEMA: Schema = Schema::TASKS;
}

async fn list(
    service: Service,
    access: Allowed<ViewTasks>,
    rql: Rql<Tasks>,
) -> Result<Json<Page<AnyJson>, Page<Task>>> {
    service.list_tasks(access.caller(), &rql.query).await.map(Json::of)
}

async fn create(
    service: Service,
    access: Allowed<CreateTasks>,
    OnceBody { body: JsonBody(body), once }: OnceBody<JsonBody<TaskCreation>>,
) -> Result<Replayable<Json<Task>>> {
    service.create_task_once(access.caller(), body.into(), once.as_ref()).await.map(Replayable::of)
}

async fn cancel(service: Service, _: Allowed<CancelTasks>, Id(task): Id) -> Result<Json<AffectedRecords>> {
    service.cancel_task(task).await.map(Json::of)
}

async fn logs(
    service: Service,
    _: Allowed<ViewTaskLogs>,
    (Id(task), RunLogRql(bounds)): (Id, RunLogRql),
) -> Result<Json<LogsAnswer>> {
    service.task_logs(task, &bounds).await.map(Json::of)
}

/// A Task to create.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct TaskCreation {
    /// The Function to run.
    function_name: FunctionName,
    /// The Function's input: any JSON, at most 250 KB. Kept exactly as sent.
    data: Option<AnyJson>,
    /// When it is due. Default: now.
    start_timestamp: Option<Timestamp>,
    /// Higher priority runs first. Default: the Function's default priority.
    priority: Option<Priority>,
    /// Labels to search by: at most 50, of 1 to 256 characters each.
    tags: Option<Tags>,
    /// Whether its result is kept, as long as the Task. Default: what its Function says.
    store_result: Option<bool>,
    /// How long it may wait after it was due, in seconds: `{queued}`. Then it fails with `taskExpired`, and never runs. Default: the
    /// Function's.
    timeouts: Option<Timeouts>,
    /// What runs once it is final: after its last retry, or when it is canceled.
    on_complete: Option<OnComplete>,
    /// Makes one Task of this and further creations with the same key: `{key, seconds, maxSeconds, mode}`. As long as the Task is
    /// new, they change its data and put its start off.
    debounce: Option<Debounce>,
    /// Its flow key, if its Function has a flow: a string of at most 255 bytes, a number, `true` or `false`. Default: the value in
    /// its data that the flow names.
    flow_key: Option<FlowKey>,
    /// The same as the header `Idempotency-Key`.
    idempotency_key: Option<IdempotencyKey>,
}

impl FromFields for TaskCreation {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            function_name: fields.required("functionName")?,
            data: fields.json("data")?,
            start_timestamp: fields.optional("startTimestamp")?,
            priority: fields.optional("priority")?,
            tags: fields.optional("tags")?,
            store_result: fields.optional("storeResult")?,
            timeouts: timeouts(fields)?,
            on_complete: on_complete(fields)?,
            debounce: debounce(fields)?,
            flow_key: fields.optional("flowKey")?,
            idempotency_key: fields.optional(IDEMPOTENCY_KEY)?,
        })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.task
    }
}

fn timeouts(fields: &Fields<'_>) -> Result<Option<Timeouts>> {
    let Some(timeouts) = fields.object("timeouts")? else { return Ok(None) };
    Ok(Some(Timeouts { queued: timeouts.optional("queued")? }))
}

fn debounce(fields: &Fields<'_>) -> Result<Option<Debounce>> {
    let Some(debounce) = fields.object("debounce")? else { return Ok(None) };
    Ok(Some(Debounce {
        key: debounce.required("key")?,
        seconds: debounce.required("seconds")?,
        max_seconds: debounce.optional("maxSeconds")?,
        mode: debounce.optional("mode")?.unwrap_or_default(),
    }))
}

/// Reads `onComplete` of a Task or a Schedule.
pub(super) fn on_complete(fields: &Fields<'_>) -> Result<Option<OnComplete>> {
    let Some(follow) = fields.object("onComplete")? else { return Ok(None) };
    if follow.has("onComplete") {
        let rule = "is not possible: nothing follows the task that follows, so that there are no loops";
        return Err(Error::field_format(&follow.path_of("onComplete"), rule));
    }
    let data = follow.json("data")?;
    let bytes = data.as_ref().map_or(0, |data| data.as_str().len());
    if bytes > MAX_CONTEXT_BYTES {
        let rule = format!(
            "takes {} of JSON; at most {} are passed on",
            ByteSize(bytes as u64),
            ByteSize(MAX_CONTEXT_BYTES as u64)
        );
        return Err(Error::field_format(&follow.path_of("data"), rule));
    }
    Ok(Some(OnComplete { function_name: follow.required("functionName")?, data }))
}

impl HasKey for TaskCreation {
    fn key(&self) -> Option<&IdempotencyKey> {
        self.idempotency_key.as_ref()
    }
}

impl From<TaskCreation> for NewTask {
    fn from(body: TaskCreation) -> Self {
        Self {
            function_name: body.function_name,
            data: body.data,
            start_timestamp: body.start_timestamp,
            priority: body.priority,
            tags: body.tags.unwrap_or_default(),
            options: TaskOptions {
                store_result: body.store_result,
                events: TaskEvents::default(),
                on_complete: body.on_complete,
                debounce: body.debounce,
                flow_key: body.flow_key,
                timeouts: body.timeouts.unwrap_or_default(),
                ..TaskOptions::default()
            },
        }
    }
}
