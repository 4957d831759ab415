//! `/tasklane/v1/tasks/batch`: many Tasks in one call.

use http::Method;
use serde::Serialize;
use tasklane_model::{
    BodyDigest, Error, IdempotencyKey, Json as AnyJson, Made, Once, Result, Task, once::IDEMPOTENCY_KEY, with_causes,
};
use tasklane_service::{BatchEntry, BatchOutcome, Service};
use tracing::error;
use utoipa::ToSchema;

use super::tasks::TaskCreation;
use crate::{
    access::{Allowed, permission::CreateTasks},
    answer::Json,
    body::Fields,
    config::BodyLimits,
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
    once::{HasKey, OnceBody, Replayable},
    openapi::ErrorDescription,
};

pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::POST, "/tasklane/v1/tasks/batch", "createTasks", create)
            .summary("Create many Tasks")
            .about(
                "Answers each entry in its place: with its Task, or with the error that it would have got alone. The others are \
                 created anyway. An entry may have an idempotency key of its own; the key of the call holds for the whole.",
            ),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Tasks")).collect()
}

async fn create(
    service: Service,
    access: Allowed<CreateTasks>,
    OnceBody { body: JsonBody(body), once }: OnceBody<JsonBody<TaskBatch>>,
) -> Result<Replayable<Json<TaskBatchOutcome, TaskBatchDescription>>> {
    let made = service.create_tasks(access.caller(), body.entries, once.as_ref()).await?;
    Ok(Replayable::of(Made { record: TaskBatchOutcome::of(made.record)?, is_replay: made.is_replay }))
}

/// How many Tasks a batch may have.
const MOST: usize = 100;

/// Tasks to create.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct TaskBatch {
    /// 1 to 100 Tasks to create; at most 3 MB together.
    #[schema(rename = "tasks", value_type = Vec<TaskCreation>, min_items = 1, max_items = 100)]
    entries: Vec<BatchEntry>,
    /// The same as the header `Idempotency-Key`. It holds for the whole; entries may have their own.
    idempotency_key: Option<IdempotencyKey>,
}

impl FromFields for TaskBatch {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        fields.require(&["tasks"])?;
        let entries = fields.objects("tasks").filter(|entries| (1..=MOST).contains(&entries.len()));
        let rule = format!("must be a list of 1 to {MOST} objects");
        let entries = entries.ok_or_else(|| Error::field_format("tasks", rule))?;
        Ok(Self {
            entries: entries.into_iter().map(|(entry, text)| read(&entry, text)).collect(),
            idempotency_key: fields.optional(IDEMPOTENCY_KEY)?,
        })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.batch
    }
}

impl HasKey for TaskBatch {
    fn key(&self) -> Option<&IdempotencyKey> {
        self.idempotency_key.as_ref()
    }
}

fn read(entry: &Fields<'_>, text: &str) -> BatchEntry {
    let task = TaskCreation::from_fields(entry)?;
    let once = task.key().map(|key| Once { key: key.clone(), body: BodyDigest::of(text) });
    Ok((task.into(), once))
}

/// What became of each entry, in the order of the entries.
#[derive(Debug, Serialize)]
pub struct TaskBatchOutcome {
    data: Vec<AnyJson>,
}

impl TaskBatchOutcome {
    fn of(outcome: BatchOutcome) -> Result<Self> {
        let shown = |entry: Result<Task>| match entry {
            Ok(task) => AnyJson::of(&task),
            Err(error) => {
                if let Some(cause) = error.cause() {
                    error!(cause = with_causes(cause), "a task of a batch could not be created");
                }
                AnyJson::of(&error.to_body())
            }
        };
        let data = outcome.into_iter().map(shown).collect::<std::result::Result<_, _>>().map_err(Error::internal)?;
        Ok(Self { data })
    }
}

/// What became of each entry, in the order of the entries.
#[derive(ToSchema)]
#[schema(as = TaskBatchOutcome)]
#[allow(dead_code)] // describes the answer
pub struct TaskBatchDescription {
    data: Vec<TaskOrError>,
}

/// The Task of an entry, or why there is none.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code)] // describes the answer
pub enum TaskOrError {
    Task(Box<Task>),
    Error(ErrorDescription),
}
