//! Debounced creations.

use std::collections::BTreeMap;

use tasklane_model::{ObjectId, TaskStatus};

use super::records::last_rows;
use crate::{debounces::element, world::World};

/// While a Task is `new`: from one write to another.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct While {
    added: u64,
    left: u64,
    id: ObjectId,
}

/// At most one `new` Task for each Function and key at any time, and none that starts later than its first creation allows.
pub fn one_at_a_time(world: &World) {
    let mut times: BTreeMap<_, Vec<While>> = BTreeMap::new();
    let mut late = Vec::new();
    for (id, versions) in &world.journal().rows {
        let Some(debounce) = &versions[0].row.debounce else { continue };
        let key = (versions[0].row.function.clone(), debounce.key.as_str().to_owned());
        let added = versions[0].seq;
        let left = versions.iter().find(|version| version.row.status != TaskStatus::New);
        let left = left.map_or(u64::MAX, |version| version.seq);
        times.entry(key).or_default().push(While { added, left, id: *id });
        let most = i64::try_from(debounce.most().as_millis()).unwrap_or(i64::MAX);
        if versions.iter().any(|version| version.row.start > version.row.created + most) {
            late.push(*id);
        }
    }
    for id in late {
        world.violated([id], "a debounced task was put off past its most");
    }
    for mut tasks in times.into_values() {
        tasks.sort_unstable();
        for pair in tasks.windows(2) {
            if pair[1].added < pair[0].left {
                world.violated([pair[0].id, pair[1].id], "two new tasks have one debounce key");
            }
        }
    }
}

/// Each acknowledged element is in the Task that it was acknowledged for, once, and in no other.
pub fn each_element_once(world: &World) {
    let rows = last_rows(world);
    let acknowledged = world.journal().debounced.clone();
    for (number, task) in acknowledged {
        let element = element(number);
        let found: Vec<ObjectId> = rows
            .iter()
            .filter(|row| row.retry_for.is_empty())
            .filter_map(|row| Some((row.id, row.data.as_deref()?)))
            .flat_map(|(id, data)| data.matches(&element).map(move |_| id).collect::<Vec<_>>())
            .collect();
        if found != [task] {
            world.violated([task], format!("the element {element} is in {found:?}"));
        }
    }
}
