//! Operations on many Tasks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tasklane_model::{Bulk, BulkAction, BulkStatus, ObjectId, Skipped, TaskStatus, Timestamp};
use tasklane_store::Store;

use super::records::last_rows;
use crate::{journal::LifeId, world::World};

/// Records the progress of an operation after a write, for the trace.
pub fn saw_progress(world: &World, by: LifeId, item: &Value) {
    if item["pk"]["S"] != "bulk" {
        return;
    }
    let text = |name: &str| item[name]["S"].as_str().unwrap_or_default();
    let Ok(bulk) = serde_json::from_str::<Bulk>(text("record")) else { return };
    let slice = item["slice"]["S"].as_str().map(|slice| format!(", works on {slice}")).unwrap_or_default();
    let (id, status, done, passed) = (bulk.id, bulk.status, bulk.done, passed_over(&bulk));
    world.note(Some(by), None, format!("operation {id}: {status:?}, {done} done, {passed}{slice}"));
}

/// How many Tasks an operation passed over, and why.
fn passed_over(bulk: &Bulk) -> String {
    let reasons: Vec<_> = bulk.skipped.iter().map(|Skipped { reason, count }| format!("{count} {reason:?}")).collect();
    format!("passed over [{}]", reasons.join(", "))
}

/// Each operation ends. It acts once on each Task, on none that is younger than itself, and counts what it did.
pub async fn each_task_once(world: &World, store: &Store) {
    let operations = world.journal().bulks.clone();
    let rows = last_rows(world);
    for id in operations {
        let bulk = match store.bulks.get(id).await {
            Ok(Some(bulk)) => bulk,
            Ok(None) => {
                world.violated([], format!("the operation {id} was acknowledged and does not exist"));
                continue;
            }
            Err(error) => {
                world.violated([], format!("the operation {id} cannot be read: {error}"));
                continue;
            }
        };
        let acted = match bulk.action {
            BulkAction::Replay => replayed(&rows, id),
            BulkAction::Backfill => backfilled(&rows, id),
            BulkAction::Cancel => {
                by(rows.iter().map(|row| (row.id, row.canceled_by.as_deref())), &format!("bulk:{id}"))
            }
            BulkAction::RetryNow | BulkAction::Reschedule | BulkAction::SetPriority => edited(world, id),
        };
        for (task, times) in &acted {
            if *times > 1 {
                world.violated([*task], format!("the operation {id} ({}) acted {times} times on a task", bulk.action));
            }
            if *task >= id {
                world.violated([*task], format!("the operation {id} ({}) acted on a younger task", bulk.action));
            }
        }
        let count = acted.len() as u64;
        // A change to what is there already is no write.
        let is_exact = !matches!(bulk.action, BulkAction::Reschedule | BulkAction::SetPriority);
        if bulk.done < count || (is_exact && bulk.done != count) {
            let tasks: Vec<ObjectId> = acted.keys().copied().collect();
            let (action, done, passed) = (bulk.action, bulk.done, passed_over(&bulk));
            world.violated(tasks, format!("the operation {id} ({action}) says {done} and did {count}; {passed}"));
        }
        if bulk.action == BulkAction::Replay && bulk.status == BulkStatus::Complete {
            let ends = bulk.rql.as_deref().is_some_and(|rql| !rql.contains("functionName"));
            let forgotten = overlooked(world, id, &acted).into_iter().next().filter(|_| ends);
            if let Some(task) = forgotten {
                world.violated([task], format!("the operation {id} overlooked a task that it should replay"));
            }
        }
    }
}

/// The Tasks that the operation replayed, and how often.
fn replayed(rows: &[crate::row::TaskRow], operation: ObjectId) -> BTreeMap<ObjectId, usize> {
    let mut of = BTreeMap::new();
    for row in rows {
        let Some(original) = row.replay_of.filter(|_| row.retry_for.is_empty()) else { continue };
        if ObjectId::derived_at(row.id.time(), &[operation, original]) == row.id {
            *of.entry(original).or_default() += 1;
        }
    }
    of
}

/// The occurrences that the operation created Tasks for, by their first ids, and how often.
fn backfilled(rows: &[crate::row::TaskRow], operation: ObjectId) -> BTreeMap<ObjectId, usize> {
    let mut of = BTreeMap::new();
    for row in rows {
        let Some((_, at)) = row.occurrence.filter(|_| row.retry_for.is_empty()) else { continue };
        let occurrence = ObjectId::first_at(Timestamp::saturating_from_millis(at));
        if ObjectId::derived_at(row.id.time(), &[operation, occurrence]) == row.id {
            *of.entry(occurrence).or_default() += 1;
        }
    }
    of
}

fn by<'a>(rows: impl Iterator<Item = (ObjectId, Option<&'a str>)>, mark: &str) -> BTreeMap<ObjectId, usize> {
    rows.filter(|(_, by)| *by == Some(mark)).map(|(id, _)| (id, 1)).collect()
}

/// The Tasks that the operation changed, and how often.
fn edited(world: &World, operation: ObjectId) -> BTreeMap<ObjectId, usize> {
    let mark = operation.to_string();
    let journal = world.journal();
    let mut of = BTreeMap::new();
    for (id, versions) in &journal.rows {
        let edits: BTreeSet<_> = versions
            .iter()
            .filter(|version| version.row.bulk.as_ref() == Some(&mark))
            .map(|version| version.row.edited.clone())
            .collect();
        if !edits.is_empty() {
            of.insert(*id, edits.len());
        }
    }
    of
}

/// The Tasks of the Function that never changes that had ended before the operation was created, and that it did not replay.
fn overlooked(world: &World, operation: ObjectId, acted: &BTreeMap<ObjectId, usize>) -> Vec<ObjectId> {
    let first = &world.plan.functions[0].name;
    let journal = world.journal();
    let began = crate::time::since_start(operation.time().as_millis()) - 2 * super::most_skew(world);
    let missed = journal.rows.iter().filter(|(id, versions)| {
        let ended = versions.iter().find(|version| version.row.status.is_final());
        ended.is_some_and(|ended| {
            ended.at < began
                && ended.row.status != TaskStatus::Retried
                && ended.row.function == *first
                && ended.row.data.as_ref().is_some_and(|data| data.contains("\"n\""))
                && !acted.contains_key(id)
        })
    });
    missed.map(|(id, _)| *id).collect()
}
