//! Tasks (contract §3, §4).

use serde::{Deserialize, Serialize};
use tasklane_model::{
    AffectedRecords, Attempt, Debounce, Failure, FlowKey, FunctionName, IdempotencyKey, Json, ObjectId, OnComplete,
    Page, Priority, Tags, Task, Timeouts, Timestamp,
};

use super::{
    Client, ClientError, HowMany, Listing, Query, Record,
    listing::PAGE,
    transport::{Call, UPLOAD, WAITING},
};

/// The body of `POST /tasks/v1/`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewTaskBody {
    /// The Function to run.
    pub function_name: FunctionName,
    /// Its input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Json>,
    /// When it is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Timestamp>,
    /// Among due Tasks, higher priority runs first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// How long it may wait.
    #[serde(skip_serializing_if = "Timeouts::is_empty")]
    pub timeouts: Timeouts,
    /// Words that the Task can be found by.
    #[serde(skip_serializing_if = "no_tags")]
    pub tags: Tags,
    /// Whether its result is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_result: Option<bool>,
    /// What runs once it is final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_complete: Option<OnComplete>,
    /// Makes one Task of creations in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce: Option<Debounce>,
    /// Its flow key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_key: Option<FlowKey>,
    /// Names the call, so that it has an effect only once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

impl NewTaskBody {
    /// A Task of this Function, with every default.
    pub fn of(function_name: FunctionName) -> Self {
        Self {
            function_name,
            data: None,
            start_timestamp: None,
            priority: None,
            timeouts: Timeouts::default(),
            tags: Tags::default(),
            store_result: None,
            on_complete: None,
            debounce: None,
            flow_key: None,
            idempotency_key: None,
        }
    }
}

fn no_tags(tags: &Tags) -> bool {
    tags.as_slice().is_empty()
}

/// The answer to `GET …/why`. Lenient, because a newer service may know more reasons.
#[derive(Clone, Debug, Deserialize)]
pub struct Explanation {
    /// The reason in a sentence.
    pub message: String,
}

const TASKS: &str = "/tasks/v1/";
const OWN_TASKS: &str = "/tasklane/v1/tasks/";
const BATCH: &str = "/tasklane/v1/tasks/batch";

/// The body of `POST /tasklane/v1/tasks/batch`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskBatchBody {
    /// A list of Tasks to create, as the service reads them.
    pub tasks: Json,
    /// Names the call, so that it has an effect only once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// What became of one entry of a batch: its Task, or why there is none.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchEntry {
    /// The Task's id, unless there is an error.
    #[serde(default)]
    pub id: Option<ObjectId>,
    /// The name of the error, if there is one.
    #[serde(default)]
    pub name: Option<String>,
    /// Its message.
    #[serde(default)]
    pub message: Option<String>,
}

/// What became of the entries of a batch, in their order.
#[derive(Clone, Debug, Deserialize)]
pub struct TaskBatchOutcome {
    /// The entries.
    pub data: Vec<BatchEntry>,
}

impl Client {
    /// Tasks that a query matches.
    pub async fn tasks(&self, query: Query, how_many: HowMany) -> Result<Listing<Task>, ClientError> {
        self.list(TASKS, query, how_many).await
    }

    /// One page of the Tasks that a query matches, as the service sent it. It may be partial: then the service had no time
    /// for more.
    pub async fn task_page(&self, query: &Query) -> Result<Page<Json>, ClientError> {
        self.page(TASKS, query.as_rql()).await
    }

    /// One Task, or `None` if it does not exist.
    pub async fn find_task(&self, id: ObjectId) -> Result<Option<Record<Task>>, ClientError> {
        let page = self.page(TASKS, Query::new().eq("id", id).as_rql()).await?;
        Ok(page.data.into_iter().next())
    }

    /// Creates a Task.
    pub async fn create_task(&self, body: &NewTaskBody) -> Result<Record<Task>, ClientError> {
        self.call(Call::post(TASKS).json(body)?.once_if(body.idempotency_key.as_ref())).await
    }

    /// A Task, as soon as it is final, or as it is after about this many seconds.
    pub async fn wait_for_task(&self, id: ObjectId, seconds: u8) -> Result<Record<Task>, ClientError> {
        self.call(Call::get(format!("{OWN_TASKS}{id}")).query(format!("wait={seconds}")).within(WAITING)).await
    }

    /// The result of a Task.
    pub async fn task_result(&self, id: ObjectId) -> Result<Json, ClientError> {
        Ok(self.call::<Json>(Call::get(format!("{OWN_TASKS}{id}/result")).within(UPLOAD)).await?.json)
    }

    /// A Task and its retries, oldest first.
    pub async fn task_attempts(&self, id: ObjectId) -> Result<Vec<Record<Attempt>>, ClientError> {
        Ok(self.call::<Page<_>>(Call::get(format!("{OWN_TASKS}{id}/attempts"))).await?.value.data)
    }

    /// The failed Tasks that a query matches, by Function and error, and whether there was no time to look at all of them.
    pub async fn failures(&self, query: Query) -> Result<(Vec<Record<Failure>>, bool), ClientError> {
        let rql = if query.has_limit() { query } else { query.limit(PAGE, 0) };
        let page = self.page("/tasklane/v1/failures", rql.as_rql()).await?;
        Ok((page.data, page.page.is_partial == Some(true)))
    }

    /// Why a Task waits, or what became of it.
    pub async fn why(&self, id: ObjectId) -> Result<Record<Explanation>, ClientError> {
        self.call(Call::get(format!("{OWN_TASKS}{id}/why"))).await
    }

    /// Creates many Tasks.
    pub async fn create_tasks(&self, body: &TaskBatchBody) -> Result<Record<TaskBatchOutcome>, ClientError> {
        self.call(Call::post(BATCH).json(body)?.once_if(body.idempotency_key.as_ref())).await
    }

    /// Cancels a Task that has not started.
    pub async fn cancel_task(&self, id: ObjectId) -> Result<Record<AffectedRecords>, ClientError> {
        self.call(Call::post(format!("{TASKS}{id}/cancel")).empty_object()).await
    }
}
