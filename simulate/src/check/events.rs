//! The events of Tasks.

use std::collections::BTreeMap;

use tasklane_model::{ObjectId, TaskEventKind, TaskStatus};
use tasklane_ports::TaskEvent;

use super::records::{last_rows, says_that_it_ran};
use crate::{row::TaskRow, world::World};

/// At least one event for each failure and for whatever else the Task was to publish. Events of one id are equal, and none
/// tells what did not happen.
pub fn at_least_once(world: &World) {
    let mut published: BTreeMap<(ObjectId, &str), TaskEvent> = BTreeMap::new();
    let mut ids: BTreeMap<ObjectId, TaskEvent> = BTreeMap::new();
    let events = world.journal().events.clone();
    for (_, event) in events {
        let first = ids.entry(event.id).or_insert_with(|| event.clone());
        if *first != event {
            world.violated([event.content.id], "two events have one id");
        }
        published.insert((event.content.id, event.kind.as_str()), event);
    }
    for row in last_rows(world) {
        for kind in TaskEventKind::ALL {
            match published.remove(&(row.id, kind.as_str())) {
                None if must_be_published(&row, kind) => {
                    world.violated([row.id], format!("no {} was published", kind.as_str()));
                }
                None => {}
                Some(event) => {
                    if let Some(why) = is_wrong(world, &row, &event) {
                        world.violated([row.id], format!("a {} {why}", kind.as_str()));
                    }
                }
            }
        }
    }
    for (task, kind) in published.into_keys() {
        world.violated([task], format!("a {kind} was published for a task that does not exist"));
    }
}

fn must_be_published(row: &TaskRow, kind: TaskEventKind) -> bool {
    let has_happened = match kind {
        // A run whose outcome is unknown may not have begun.
        TaskEventKind::TaskStarted => says_that_it_ran(row),
        kind => TaskEventKind::of_end(row.status) == Some(kind),
    };
    has_happened && (kind == TaskEventKind::TaskFailed || row.events.contains(kind))
}

/// What is wrong with this event of the Task, if anything.
fn is_wrong(world: &World, row: &TaskRow, event: &TaskEvent) -> Option<&'static str> {
    let kind = event.kind;
    if kind != TaskEventKind::TaskFailed && !row.events.contains(kind) {
        return Some("was published although nobody asked for it");
    }
    let content = &event.content;
    if content.function_name.as_str() != row.function {
        return Some("names another function");
    }
    if kind == TaskEventKind::TaskStarted {
        let started: Vec<i64> = world.journal().rows[&row.id]
            .iter()
            .filter(|version| version.row.status == TaskStatus::InProgress)
            .filter_map(|version| version.row.started)
            .collect();
        return (!started.contains(&event.creation_timestamp)).then_some("tells a start that did not happen");
    }
    if TaskEventKind::of_end(row.status) != Some(kind) {
        return Some("tells an end that did not happen");
    }
    let told = (content.error.as_ref(), content.retried_by_task_id, event.creation_timestamp);
    (told != (row.error.as_ref(), row.retried_by, row.status_changed)).then_some("differs from the record")
}
