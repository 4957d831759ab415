//! Callers that change Tasks which have not started: their start, their priority, their data.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tasklane_model::{Json, ObjectId, Priority};
use tasklane_ports::{Clock as _, Wakeup};
use tasklane_store::{Edited, NewData, TaskEdit};

use crate::{chance::Rng, process::Processes, world::World};

/// How many of the newest Tasks are chosen from: they are the most likely to be `new` still.
const NEWEST: usize = 8;

/// Makes such changes until the plan's time is over, in every third seed.
pub async fn run(world: Arc<World>, processes: Arc<Processes>) {
    if world.plan.is_quiet || world.plan.seed % 3 != 2 {
        return;
    }
    // A stream of its own, so that other callers do the same with and without these.
    let mut rng = Rng::new(world.plan.seed.wrapping_mul(139).wrapping_add(17));
    for number in 0_u64.. {
        tokio::time::sleep(Duration::from_millis(rng.within(100..=2500))).await;
        if world.load_is_over() {
            return;
        }
        let newest: Vec<ObjectId> =
            world.journal().acknowledged.iter().rev().take(NEWEST).map(|task| task.id).collect();
        if newest.is_empty() {
            continue;
        }
        let id = rng.pick(&newest);
        // Several at once, so that they meet.
        for _ in 0..rng.pick(&[1, 1, 2, 3]) {
            let edit = draw(&world, &mut rng, number);
            let (world, processes) = (Arc::clone(&world), Arc::clone(&processes));
            tokio::spawn(async move { change(&world, &processes, id, edit).await });
        }
    }
}

fn draw(world: &World, rng: &mut Rng, number: u64) -> TaskEdit {
    let now = world.now();
    let start = match rng.below(5) {
        0 => None,
        1 => Some(now.saturating_sub(Duration::from_millis(rng.below(5000)))),
        2 => Some(now),
        _ => Some(now.saturating_add(Duration::from_millis(rng.below(20_000)))),
    };
    let priority = if rng.odds(400) { Priority::new(rng.pick(&[0, 2, 7, -5])).ok() } else { None };
    let padding = "x".repeat(rng.pick(&[0, 0, 4096]));
    let data = rng.odds(250).then(|| NewData {
        data: Some(Json::from(json!({ "edit": number, "padding": padding }))),
        id: ObjectId::new(now, rng.below(u64::MAX)),
    });
    TaskEdit { start, priority, data }
}

async fn change(world: &World, processes: &Processes, id: ObjectId, edit: TaskEdit) {
    let Some(process) = processes.any() else { return };
    let now = process.life.now();
    match process.store.tasks.edit_new_with_data(id, now, |_| Some(edit.clone())).await {
        Ok(Edited::Done(task)) => {
            world.note(None, Some(id), "its change is acknowledged");
            process.service.wake(Wakeup::for_task(id, task.start_timestamp.since(now))).await;
            if edit != TaskEdit::default() {
                world.journal().edited.push(*task);
            }
        }
        Ok(other) => world.note(None, Some(id), format!("was not changed: {other:?}")),
        Err(error) => {
            // It may have been changed nevertheless.
            process.service.wake(Wakeup::for_task(id, Duration::ZERO)).await;
            world.note(None, Some(id), format!("could not be changed: {error}"));
        }
    }
}
