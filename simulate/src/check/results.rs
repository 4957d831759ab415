//! Results that must be kept.

use std::sync::PoisonError;

use tasklane_model::TaskStatus;
use tasklane_store::{ResultPlace, Store};

use super::records::last_rows;
use crate::{repeats, world::World};

/// How long after the end of its run the result and the outcome of a Task are written, if nothing goes wrong.
const WRITTEN_WITHIN: i64 = 10_000;

/// A complete Task that asks for its result has the one that its only run returned. It may have none if something
/// happened to its process.
pub async fn of_their_runs(world: &World, store: &Store) {
    let asked = |tags: &Option<String>| tags.as_ref().is_some_and(|tags| tags.starts_with(repeats::TAGS));
    for row in last_rows(world).iter().filter(|row| row.status == TaskStatus::Complete && asked(&row.tags)) {
        let Ok(Some(record)) = store.tasks.get(row.id).await else { continue };
        let Some(run) = &record.run else { continue };
        let (number, by, ended) = {
            let cloud = world.cloud.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(number) = cloud.runs.iter().position(|run| run.task == row.id) else { continue };
            (number, cloud.runs[number].by, cloud.runs[number].ended.unwrap_or_default())
        };
        let excused = world.journal().troubled(by, ended - WRITTEN_WITHIN, ended + WRITTEN_WITHIN);
        match store.results.get(row.id, &run.attempt).await {
            Ok(Some(ResultPlace::Row(json))) if json.as_str() == format!("{{\"run\":{number}}}") => {}
            Ok(None) if excused => {}
            other => world.violated([row.id], format!("the result of run r{number} was not kept: {other:?}")),
        }
    }
}
