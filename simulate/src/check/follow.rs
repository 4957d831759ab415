//! The Tasks that follow others.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::records::last_rows;
use crate::{repeats, row::TaskRow, world::World};

/// Exactly one Task follows each chain that asks for it, once the chain has ended, and it says how.
pub fn one_for_each_chain(world: &World) {
    let mut following: BTreeMap<u64, Vec<(TaskRow, Value)>> = BTreeMap::new();
    let rows = last_rows(world);
    // A Task that follows may be retried, too, and its retries have the same data.
    for row in rows.iter().filter(|row| row.retry_for.is_empty()) {
        let data: Value = row.data.as_deref().and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
        if let Some(number) = data["context"]["of"].as_u64() {
            following.entry(number).or_default().push((row.clone(), data));
        }
    }
    let numbers: Vec<u64> =
        world.journal().keyed.keys().copied().filter(|number| repeats::is_followed(*number)).collect();
    for number in numbers {
        let tags = json!([repeats::tag(number)]).to_string();
        let last = rows.iter().find(|row| row.tags.as_ref() == Some(&tags) && row.retried_by.is_none());
        let Some(last) = last else { continue };
        let found = following.remove(&number).unwrap_or_default();
        let expected = usize::from(last.status.is_final());
        if found.len() != expected {
            let ids: Vec<_> = found.iter().map(|(row, _)| row.id).chain([last.id]).collect();
            world.violated(ids, format!("{} tasks follow a chain whose last task is {}", found.len(), last.status));
        }
        for (row, data) in found {
            let told = (&data["task"]["id"], &data["task"]["status"]);
            if told != (&json!(last.id), &json!(last.status)) || row.created < last.status_changed {
                world.violated([row.id, last.id], format!("a task follows another one that ended otherwise: {told:?}"));
            }
        }
    }
}
