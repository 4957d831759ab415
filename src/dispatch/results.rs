//! Keeps what runs returned, for callers who ask later.

use tasklane_model::Json;
use tasklane_model::ObjectId;
use tasklane_ports::{Keep, ObjectKey, PortError, Ports};
use tasklane_store::{
    Run, Store, StoreError, TaskRecord,
    results::{IN_ROW, ResultPlace},
};
use tracing::warn;

/// A result that was kept.
#[derive(Debug)]
pub enum KeptResult {
    /// The JSON that the run returned.
    Json(Json),
    /// The JSON is in this object, which has a size in bytes.
    Object(ObjectKey, u64),
}

/// A result could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Keeps the result of a run, which is not recorded yet. If that fails, only the result is lost: the code has run, and
/// its outcome is worth more.
pub(crate) async fn keep(store: &Store, ports: &Ports, task: ObjectId, run: &Run, result: &Json, keep: Keep) {
    if let Err(error) = try_to_keep(store, ports, task, run, result, keep).await {
        warn!(%task, %error, "the result of a run was not kept");
    }
}

async fn try_to_keep(
    store: &Store,
    ports: &Ports,
    task: ObjectId,
    run: &Run,
    result: &Json,
    keep: Keep,
) -> Result<(), ResultError> {
    let bytes = result.as_str().len();
    let place = if bytes <= IN_ROW {
        ResultPlace::Row(result.clone())
    } else {
        let name = format!("{task}-{}", run.attempt.as_str());
        let key = ObjectKey::new(keep, &name).map_err(|error| PortError::new("name an object", error))?;
        ports.objects.write_object(&key, result.as_str().to_owned().into()).await?;
        ResultPlace::Object { key, bytes: u64::try_from(bytes).unwrap_or(u64::MAX) }
    };
    Ok(store.results.put(task, &run.attempt, &place, keep).await?)
}

/// The result of a Task that is complete; `None` if it was not kept.
pub async fn kept_result(store: &Store, record: &TaskRecord) -> Result<Option<KeptResult>, ResultError> {
    let Some(run) = &record.run else { return Ok(None) };
    Ok(store.results.get(record.task.id, &run.attempt).await?.map(|place| match place {
        ResultPlace::Row(json) => KeptResult::Json(json),
        ResultPlace::Object { key, bytes } => KeptResult::Object(key, bytes),
    }))
}

/// The JSON of a kept result; `None` if its object is gone.
pub async fn read_result(ports: &Ports, kept: KeptResult) -> Result<Option<Json>, ResultError> {
    let key = match kept {
        KeptResult::Json(json) => return Ok(Some(json)),
        KeptResult::Object(key, _) => key,
    };
    let Some(content) = ports.objects.read_object(&key).await? else { return Ok(None) };
    let text = String::from_utf8(content.into()).map_err(|error| PortError::new("read a result", error))?;
    Ok(Some(Json::parse(text).map_err(|error| PortError::new("read a result", error))?))
}
