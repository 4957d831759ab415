//! In the cloud, each run in progress is in the register of runs, whatever becomes of its process.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tasklane_model::{ObjectId, TaskStatus};

use crate::{journal::Journal, plan::Shape, world::World};

/// What the keys of the register's rows begin with.
const REGISTER: &str = "runs#";

/// The key of a page of the register; `None` if the row is another one.
pub fn page_of(key: &Value) -> Option<String> {
    let (pk, sk) = (key["pk"]["S"].as_str()?, key["sk"]["S"].as_str()?);
    pk.starts_with(REGISTER).then(|| format!("{pk}/{sk}"))
}

/// Called after a write of a page, with its runs; after its removal, without any.
pub fn saw_page(world: &World, page: &str, runs: Option<&str>) {
    let runs: Map<String, Value> = runs.and_then(|runs| serde_json::from_str(runs).ok()).unwrap_or_default();
    let runs: BTreeSet<ObjectId> = runs.keys().filter_map(|id| id.parse().ok()).collect();
    let mut journal = world.journal();
    let before = journal.register.insert(page.to_owned(), runs).unwrap_or_default();
    let dropped: Vec<_> = before.into_iter().filter(|id| is_forgotten(&journal, *id)).collect();
    drop(journal);
    for id in dropped {
        world.violated([id], "a run in progress was dropped from the register");
    }
}

/// Called after a write of a Task's row.
pub fn saw_task(world: &World, id: ObjectId) {
    let forgotten = world.plan.shape == Shape::Cloud && is_forgotten(&world.journal(), id);
    if forgotten {
        world.violated([id], "a run in progress is not in the register");
    }
}

fn is_forgotten(journal: &Journal, id: ObjectId) -> bool {
    journal.last(id).is_some_and(|row| row.status == TaskStatus::InProgress)
        && !journal.register.values().any(|runs| runs.contains(&id))
}
