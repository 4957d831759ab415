//! Tasks: one planned or running execution of a Function each (contract §4).

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ApplicationId, Caller, Debounce, FlowKey, Function, FunctionName, Json, ObjectId, OnComplete, Priority, TaskEvents,
    Timeouts, Timestamp, UserId, VersionNumber, json::even_null, shorten::cut_short,
};

/// A Task as callers and its Function see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", from = "WrittenTask")]
pub struct Task {
    /// Its id.
    pub id: ObjectId,
    /// The Function that runs.
    pub function_name: FunctionName,
    /// Its status.
    pub status: TaskStatus,
    /// When the status last changed.
    pub status_changed_timestamp: Timestamp,
    /// The Function's input.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    // Not `nullable`: any JSON includes null already.
    #[schema(value_type = Json, required = false)]
    pub data: Option<Json>,
    /// Strings to find it by.
    pub tags: Tags,
    /// When it is due.
    pub start_timestamp: Timestamp,
    /// Among due Tasks, the one with the higher priority runs first.
    pub priority: Priority,
    /// Who created it.
    #[serde(flatten)]
    pub origin: TaskOrigin,
    /// When it was created.
    pub creation_timestamp: Timestamp,
    /// When it last changed.
    pub update_timestamp: Timestamp,
    /// The runs before this one, oldest first, when this is a retry.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub retry_for_task_ids: Vec<ObjectId>,
    /// The run after this one, when it was retried.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retried_by_task_id: Option<ObjectId>,
    /// Why it failed or was retried.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<TaskError>,
    /// The version of the Function that runs or ran it. Absent before it starts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub function_version: Option<VersionNumber>,
    /// What was asked for at its creation beyond that. Its retries have the same, apart from `debounce`.
    #[serde(flatten)]
    pub options: TaskOptions,
}

impl Task {
    /// A Task that is created now and due at once, with no input and the default priority.
    pub fn new(id: ObjectId, function_name: FunctionName, now: Timestamp) -> Self {
        Self {
            id,
            function_name,
            status: TaskStatus::New,
            status_changed_timestamp: now,
            data: None,
            tags: Tags::default(),
            start_timestamp: now,
            priority: Priority::default(),
            origin: TaskOrigin::default(),
            creation_timestamp: now,
            update_timestamp: now,
            retry_for_task_ids: Vec::new(),
            retried_by_task_id: None,
            error: None,
            function_version: None,
            options: TaskOptions::default(),
        }
    }

    /// The next run of a Task whose run failed, due after `delay`.
    #[must_use]
    pub fn retry_of(failed: &Self, id: ObjectId, now: Timestamp, delay: Duration) -> Self {
        Self {
            data: failed.data.clone(),
            tags: failed.tags.clone(),
            start_timestamp: now.saturating_add(delay),
            priority: failed.priority,
            origin: failed.origin.clone(),
            // The claim of the first run has freed the key.
            options: TaskOptions { debounce: None, ..failed.options.clone() },
            retry_for_task_ids: failed.retry_for_task_ids.iter().copied().chain([failed.id]).collect(),
            ..Self::new(id, failed.function_name.clone(), now)
        }
    }

    /// The Task once it has this final status, which it got at `now`.
    #[must_use]
    pub fn ended(self, status: TaskStatus, error: Option<TaskError>, now: Timestamp) -> Self {
        Self { status, status_changed_timestamp: now, update_timestamp: now, error, ..self }
    }

    /// The first Task of its chain: its own id, or that of the run that the first retry was for.
    pub fn first_of_chain(&self) -> ObjectId {
        self.retry_for_task_ids.first().copied().unwrap_or(self.id)
    }

    /// A Task like this one, created and due at `now`, for `origin`.
    #[must_use]
    pub fn replay(self, id: ObjectId, origin: TaskOrigin, now: Timestamp) -> Self {
        Self {
            data: self.data,
            tags: self.tags,
            priority: self.priority,
            origin,
            options: TaskOptions { replay_of: Some(self.id), debounce: None, ..self.options },
            ..Self::new(id, self.function_name, now)
        }
    }

    /// The time at which it fails if it has not started before; `None` if it may wait for ever.
    pub fn not_after(&self) -> Option<Timestamp> {
        Some(self.start_timestamp.saturating_add(self.options.timeouts.queued?.as_duration()))
    }
}

/// A Task as it is written. Flattening its origin would make serde buffer every unknown field in a form that rejects some
/// of the JSON that a Function may return.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenTask {
    id: ObjectId,
    function_name: FunctionName,
    status: TaskStatus,
    status_changed_timestamp: Timestamp,
    #[serde(default, deserialize_with = "even_null")]
    data: Option<Json>,
    tags: Tags,
    start_timestamp: Timestamp,
    priority: Priority,
    #[serde(default)]
    timeouts: Timeouts,
    #[serde(default)]
    created_by_user_id: Option<UserId>,
    #[serde(default)]
    created_by_application_id: Option<ApplicationId>,
    creation_timestamp: Timestamp,
    update_timestamp: Timestamp,
    #[serde(default)]
    retry_for_task_ids: Vec<ObjectId>,
    #[serde(default)]
    retried_by_task_id: Option<ObjectId>,
    #[serde(default)]
    error: Option<TaskError>,
    #[serde(default)]
    function_version: Option<VersionNumber>,
    #[serde(default)]
    store_result: Option<bool>,
    #[serde(default)]
    on_complete: Option<OnComplete>,
    #[serde(default)]
    events: TaskEvents,
    #[serde(default)]
    replay_of: Option<ObjectId>,
    debounce: Option<Debounce>,
    #[serde(default)]
    schedule_id: Option<ObjectId>,
    #[serde(default)]
    occurrence_timestamp: Option<Timestamp>,
    #[serde(default)]
    flow_key: Option<FlowKey>,
}

impl From<WrittenTask> for Task {
    fn from(written: WrittenTask) -> Self {
        Self {
            id: written.id,
            function_name: written.function_name,
            status: written.status,
            status_changed_timestamp: written.status_changed_timestamp,
            data: written.data,
            tags: written.tags,
            start_timestamp: written.start_timestamp,
            priority: written.priority,
            origin: TaskOrigin {
                created_by_user_id: written.created_by_user_id,
                created_by_application_id: written.created_by_application_id,
            },
            creation_timestamp: written.creation_timestamp,
            update_timestamp: written.update_timestamp,
            retry_for_task_ids: written.retry_for_task_ids,
            retried_by_task_id: written.retried_by_task_id,
            error: written.error,
            function_version: written.function_version,
            options: TaskOptions {
                store_result: written.store_result,
                timeouts: written.timeouts,
                on_complete: written.on_complete,
                events: written.events,
                replay_of: written.replay_of,
                debounce: written.debounce,
                schedule_id: written.schedule_id,
                occurrence_timestamp: written.occurrence_timestamp,
                flow_key: written.flow_key,
            },
        }
    }
}

/// The maximum size of a Task's `data`, in bytes of JSON (contract §4: 250 KB).
pub const MAX_DATA_BYTES: usize = 250 * 1024;

/// Who created a Task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskOrigin {
    /// The user; absent when nobody was logged in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_by_user_id: Option<UserId>,
    /// The application that they were logged in through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_by_application_id: Option<ApplicationId>,
}

impl From<&Caller> for TaskOrigin {
    fn from(caller: &Caller) -> Self {
        Self {
            created_by_user_id: caller.user_id().cloned(),
            created_by_application_id: caller.application_id().cloned(),
        }
    }
}

/// What a Task was created with besides the fields of every Task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskOptions {
    /// Whether its result is kept. If absent, its Function decides.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub store_result: Option<bool>,
    /// How long it may wait. Its own, or those of its Function when it was created.
    #[serde(skip_serializing_if = "Timeouts::is_empty", default)]
    #[schema(required = false)]
    pub timeouts: Timeouts,
    /// What runs once it is final.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub on_complete: Option<OnComplete>,
    /// What it publishes besides its failure. That of its Function when it was created.
    #[serde(skip_serializing_if = "TaskEvents::is_empty", default)]
    #[schema(required = false)]
    pub events: TaskEvents,
    /// The Task that it replays, if a bulk operation created it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replay_of: Option<ObjectId>,
    /// How further creations change it as long as it is new.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub debounce: Option<Debounce>,
    /// The Schedule that created it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schedule_id: Option<ObjectId>,
    /// The occurrence of the Schedule for which it was created, or the time at which a caller had it run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub occurrence_timestamp: Option<Timestamp>,
    /// Its flow key. Without one, it is the value in its data that its Function's `flow` names.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub flow_key: Option<FlowKey>,
}

impl TaskOptions {
    /// Those that a Task has from its Function when it is created.
    pub fn inherited_from(function: &Function) -> Self {
        Self { timeouts: function.timeouts, events: function.events, ..Self::default() }
    }

    /// Whether none of them was given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A Task to be created.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// The Function that runs; it must exist.
    pub function_name: FunctionName,
    /// The Function's input.
    pub data: Option<Json>,
    /// When it is due; now by default.
    pub start_timestamp: Option<Timestamp>,
    /// The Function's default priority if absent.
    pub priority: Option<Priority>,
    /// Strings to find it by.
    pub tags: Tags,
    /// Everything else that can be asked for.
    pub options: TaskOptions,
}

impl NewTask {
    /// A Task of this Function, with every default.
    pub fn of(function_name: FunctionName) -> Self {
        Self {
            function_name,
            data: None,
            start_timestamp: None,
            priority: None,
            tags: Tags::default(),
            options: TaskOptions::default(),
        }
    }
}

/// The status of a Task: `new → inProgress → complete | failed | retried`, and `new → canceled`. There is no other
/// transition, except that a Task that waited longer than it may goes from `new` to `failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum TaskStatus {
    /// It waits for its start or for a free slot.
    New,
    /// It runs.
    InProgress,
    /// It ran and returned.
    Complete,
    /// It ran and failed, or could not run.
    Failed,
    /// It ran and failed, and another Task retries it.
    Retried,
    /// It will never run.
    Canceled,
}

impl TaskStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::New, Self::InProgress, Self::Complete, Self::Failed, Self::Retried, Self::Canceled];

    /// The name of the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::InProgress => "inProgress",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::Canceled => "canceled",
        }
    }

    /// Whether it never changes again.
    pub fn is_final(self) -> bool {
        match self {
            Self::New | Self::InProgress => false,
            Self::Complete | Self::Failed | Self::Retried | Self::Canceled => true,
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The string is not a [`TaskStatus`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a task status")]
pub struct UnknownTaskStatus;

impl FromStr for TaskStatus {
    type Err = UnknownTaskStatus;
    fn from_str(text: &str) -> Result<Self, UnknownTaskStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownTaskStatus)
    }
}

/// Why a Task failed: `{type, name, message}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskError {
    /// Where it failed.
    #[serde(rename = "type")]
    pub kind: TaskErrorKind,
    /// The error's name, as the Function or Lambda gave it. A retry policy compares this name.
    pub name: String,
    /// What happened.
    pub message: String,
}

impl TaskError {
    /// The error of a Task that waited longer than it may (contract §13).
    pub fn expired() -> Self {
        Self {
            kind: TaskErrorKind::Invocation,
            name: EXPIRED_ERROR_NAME.to_owned(),
            message: "The Task did not start within the time that it may wait ('timeouts.queued').".to_owned(),
        }
    }

    /// The error as it is stored and shown. It is shortened, because a Function may throw one of several megabytes.
    #[must_use]
    pub fn shortened(&self) -> Self {
        let (name, message) = cut_error(&self.name, &self.message);
        Self { kind: self.kind, name, message }
    }
}

/// The longest stored name of an error, in bytes.
const ERROR_NAME: usize = 1024;
/// The longest stored message of an error, in bytes: with the largest `data` and tags, a row still fits into the 400 KB of
/// DynamoDB, so that an outcome can always be written.
const ERROR_MESSAGE: usize = 32 * 1024;

/// An error's name and message, cut to their stored lengths.
pub fn cut_error(name: &str, message: &str) -> (String, String) {
    (cut_short(name, ERROR_NAME), cut_short(message, ERROR_MESSAGE))
}

/// The name of the error of a Task whose outcome cannot be known (contract §4).
pub const ZOMBIE_ERROR_NAME: &str = "zombieTaskCleaned";

/// The name of the error of a Task that waited longer than it may (contract §13).
pub const EXPIRED_ERROR_NAME: &str = "taskExpired";

/// Where a Task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskErrorKind {
    /// Before the code ran.
    Invocation,
    /// In the code.
    Runtime,
}

/// Strings to find a Task by: at most 50, of 1–256 characters each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
#[schema(value_type = Vec<String>, max_items = 50)]
pub struct Tags(Vec<String>);

/// The list is not valid [`Tags`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be at most 50 strings of 1 to 256 characters each")]
pub struct InvalidTags;

impl TryFrom<Vec<String>> for Tags {
    type Error = InvalidTags;
    fn try_from(tags: Vec<String>) -> Result<Self, InvalidTags> {
        let fits = tags.len() <= 50 && tags.iter().all(|tag| (1..=256).contains(&tag.chars().count()));
        if fits { Ok(Self(tags)) } else { Err(InvalidTags) }
    }
}

impl From<Tags> for Vec<String> {
    fn from(tags: Tags) -> Self {
        tags.0
    }
}

impl Tags {
    /// The tags as strings.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}
