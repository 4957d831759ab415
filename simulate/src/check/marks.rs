//! A Task that failed, was canceled, or has a tag has the mark by which lists find it, at any time.

use tasklane_model::{ObjectId, TaskStatus};

use crate::world::World;

/// Called after a write of a Task's row.
pub fn saw_task(world: &World, id: ObjectId) {
    let journal = world.journal();
    let Some(row) = journal.last(id) else { return };
    let of_status = matches!(row.status, TaskStatus::Failed | TaskStatus::Canceled).then(|| row.status.to_string());
    let tags = row.tags.as_deref().and_then(|tags| serde_json::from_str::<Vec<String>>(tags).ok()).unwrap_or_default();
    let of_tags = tags.iter().map(|tag| format!("tag:{tag}"));
    let missing = of_status.into_iter().chain(of_tags).find(|mark| !journal.is_marked(id, mark));
    drop(journal);
    if let Some(mark) = missing {
        world.violated([id], format!("no list by its mark finds a task: {mark} is missing"));
    }
}
