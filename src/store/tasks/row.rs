//! Converts Tasks to rows and back.

use tasklane_model::{
    FlowKey, FunctionName, Json, Lane, ObjectId, Tags, Task, TaskError, TaskEventKind, TaskEvents, TaskOrigin,
    VersionNumber,
};

use super::{
    data::{self, DataPlace},
    expiring,
};
use crate::{
    AttemptToken, Place, QueueLane, ReadyKey, Run, RunnerId, StoreError, TaskRecord,
    lanes::{IndexLane, timed},
    row::{NewRow, Row, json, number, text, time},
};

/// The first format with options of Tasks.
const OPTIONS_FORMAT: u32 = 2;

/// What is to be published about a Task in lane `unpublished`; if absent, its failure alone.
pub(super) const UNPUBLISHED: &str = "unpublished";

/// The attribute with the key that a Task takes turns by.
pub(super) const FLOW: &str = "flow";

/// The attribute with the version of the Function that runs or ran the Task.
pub(super) const VERSION: &str = "functionVersion";

/// A Task's row, without its lane and its run.
pub(crate) fn of_task(partition: &str, task: &Task, queue: Lane, place: DataPlace) -> NewRow {
    let mut row = NewRow::new(partition, task.id);
    row.set("function", text(task.function_name.as_str()));
    row.set("status", text(task.status.as_str()));
    row.set("statusChanged", time(task.status_changed_timestamp));
    match place {
        DataPlace::Inside => row.set_some("data", task.data.as_ref().map(|data| text(data.as_str()))),
        DataPlace::Apart(id) => {
            row = row.in_format(data::FORMAT);
            row.set("dataOf", text(id.to_string()));
            row.set("dataBytes", number(task.data.as_ref().map_or(0, |data| data.as_str().len())));
        }
    }
    if !task.tags.as_slice().is_empty() {
        row.set("tags", json(&task.tags));
    }
    row.set("start", time(task.start_timestamp));
    row.set("priority", number(task.priority));
    if let Some(not_after) = task.not_after() {
        row = row.in_format(expiring::FORMAT);
        row.set("notAfter", time(not_after));
    }
    row.set_some("user", task.origin.created_by_user_id.as_ref().map(|id| text(id.as_str())));
    row.set_some("application", task.origin.created_by_application_id.as_ref().map(|id| text(id.as_str())));
    row.set("created", time(task.creation_timestamp));
    row.set("updated", time(task.update_timestamp));
    if !task.retry_for_task_ids.is_empty() {
        row.set("retryFor", json(&task.retry_for_task_ids));
    }
    row.set_some("retriedBy", task.retried_by_task_id.map(|id| text(id.to_string())));
    row.set_some("error", task.error.as_ref().map(json));
    row.set("queue", text(queue_name(queue)));
    if !task.options.is_empty() {
        // An older process would forget them.
        row = row.in_format(OPTIONS_FORMAT);
        row.set("options", json(&task.options));
        row.set_some("follow", task.options.on_complete.as_ref().map(|follow| text(follow.function_name.as_str())));
    }
    row
}

/// The row of a `new` Task, in the waiting lane or its ready lane.
pub(crate) fn of_new_task(
    (partition, shard): &(String, u8),
    task: &Task,
    queue: Lane,
    data: DataPlace,
    now: tasklane_model::Timestamp,
) -> NewRow {
    let mut row = of_task(partition, task, queue, data);
    let (lane, key) = if task.start_timestamp > now {
        (IndexLane::Waiting.partition(*shard), timed(task.start_timestamp, task.id))
    } else {
        let lane = QueueLane::of(queue, &task.function_name);
        let key = ReadyKey::new(task.priority, task.start_timestamp, task.id);
        (IndexLane::Ready(&lane).partition(*shard), key.as_str().to_owned())
    };
    row.set("lane", text(lane));
    row.set("laneKey", text(key));
    row
}

/// Reads a Task from a row with its data.
pub(crate) fn read(row: &Row) -> Result<TaskRecord, StoreError> {
    if data::is_missing(row)? {
        return Err(row.corrupt("its data is missing"));
    }
    read_as_it_is(row)
}

/// Reads a Task from a row, without its data if that is stored separately and has not been read.
pub(crate) fn read_as_it_is(row: &Row) -> Result<TaskRecord, StoreError> {
    let task = Task {
        id: id(row)?,
        function_name: function(row)?,
        status: row.parse("status")?,
        status_changed_timestamp: row.time("statusChanged")?,
        data: row
            .optional_text("data")?
            .map(|data| Json::parse(data.to_owned()).map_err(|error| row.corrupt(format!("'data' is {error}"))))
            .transpose()?,
        tags: row.optional_json::<Tags>("tags")?.unwrap_or_default(),
        start_timestamp: row.time("start")?,
        priority: tasklane_model::Priority::new(row.number("priority")?).map_err(|error| row.corrupt(error))?,
        origin: TaskOrigin {
            created_by_user_id: read_name(row, "user")?,
            created_by_application_id: read_name(row, "application")?,
        },
        creation_timestamp: row.time("created")?,
        update_timestamp: row.time("updated")?,
        retry_for_task_ids: row.optional_json("retryFor")?.unwrap_or_default(),
        retried_by_task_id: row.optional_text("retriedBy")?.map(|_| row.parse("retriedBy")).transpose()?,
        error: row.optional_json::<TaskError>("error")?,
        function_version: version(row)?,
        options: row.optional_json("options")?.unwrap_or_default(),
    };
    let run = match attempt(row)? {
        None => None,
        Some(attempt) => Some(Run {
            attempt,
            runner: RunnerId::new(row.text("runner")?),
            started: row.time("started")?,
            lease_expires: row.time("lease")?,
            version: version(row)?,
        }),
    };
    Ok(TaskRecord {
        task,
        queue: queue(row)?,
        run,
        request_id: row.optional_text("requestId")?.map(str::to_owned),
        data: data::place(row)?,
        unpublished: unpublished(row)?,
        flow: flow(row)?,
        is_held: row.optional_text("laneKey")?.is_some_and(|key| matches!(Place::of(key).0, Place::Held(_))),
    })
}

fn version(row: &Row) -> Result<Option<VersionNumber>, StoreError> {
    let number: Option<i64> = row.optional_number(VERSION)?;
    number.map(|number| VersionNumber::new(number).map_err(|error| row.corrupt(error))).transpose()
}

fn unpublished(row: &Row) -> Result<TaskEvents, StoreError> {
    let is_unpublished = row.optional_text("lane")?.is_some_and(IndexLane::is_unpublished);
    if !is_unpublished {
        return Ok(TaskEvents::default());
    }
    Ok(row.optional_json(UNPUBLISHED)?.unwrap_or(TaskEventKind::TaskFailed.into()))
}

/// The key that a Task takes turns by. Written when it is due.
pub(super) fn flow(row: &Row) -> Result<Option<FlowKey>, StoreError> {
    row.optional_text(FLOW)?.map(|key| FlowKey::parse(key).map_err(|error| row.corrupt(error))).transpose()
}

pub(super) fn id(row: &Row) -> Result<ObjectId, StoreError> {
    row.parse("sk")
}

pub(super) fn function(row: &Row) -> Result<FunctionName, StoreError> {
    FunctionName::parse(row.text("function")?).map_err(|error| row.corrupt(format!("'function' {error}")))
}

pub(super) fn attempt(row: &Row) -> Result<Option<AttemptToken>, StoreError> {
    Ok(row.optional_text("attempt")?.map(|attempt| AttemptToken::from_row(attempt.to_owned())))
}

pub(super) fn queue(row: &Row) -> Result<Lane, StoreError> {
    match row.text("queue")? {
        "shared" => Ok(Lane::Shared),
        "own" => Ok(Lane::Own),
        other => Err(row.corrupt(format!("'queue' is '{other}'"))),
    }
}

pub(super) fn queue_name(queue: Lane) -> &'static str {
    match queue {
        Lane::Shared => "shared",
        Lane::Own => "own",
    }
}

fn read_name<T: TryFrom<String, Error: std::fmt::Display>>(row: &Row, name: &str) -> Result<Option<T>, StoreError> {
    row.optional_text(name)?
        .map(|text| T::try_from(text.to_owned()).map_err(|error| row.corrupt(format!("'{name}' {error}"))))
        .transpose()
}
