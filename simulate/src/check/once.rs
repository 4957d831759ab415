//! Calls with an idempotency key.

use std::collections::BTreeMap;

use tasklane_model::ObjectId;

use super::records::last_rows;
use crate::{repeats, world::World};

/// Each key has at most one Task, and every call with the key was answered with that Task.
pub fn per_key(world: &World) {
    let mut created: BTreeMap<String, Vec<ObjectId>> = BTreeMap::new();
    for row in last_rows(world).iter().filter(|row| row.retry_for.is_empty()) {
        created.entry(row.tags.clone().unwrap_or_default()).or_default().push(row.id);
    }
    let keyed = world.journal().keyed.clone();
    for (number, answered) in keyed {
        let tags = serde_json::json!([repeats::tag(number)]).to_string();
        let tasks = created.get(&tags).cloned().unwrap_or_default();
        if tasks.len() != 1 {
            world.violated(tasks.clone(), format!("there are {} tasks of the idempotency key {number}", tasks.len()));
        }
        let others: Vec<_> = answered.into_iter().filter(|id| !tasks.contains(id)).collect();
        if !others.is_empty() {
            world.violated(others, format!("a call with the idempotency key {number} was answered with another task"));
        }
    }
}
