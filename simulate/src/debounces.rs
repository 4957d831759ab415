//! Callers whose creations are debounced.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tasklane_model::{
    Caller, Debounce, DebounceKey, DebounceMode, DebounceSeconds, FunctionName, Json, MostDebounceSeconds, NewTask,
    TaskOptions,
};

use crate::{chance::Rng, process::Processes, world::World};

/// Makes such creations until the plan's time is over, in every third seed.
pub async fn run(world: Arc<World>, processes: Arc<Processes>) {
    if world.plan.is_quiet || world.plan.seed % 3 != 1 {
        return;
    }
    // A stream of its own, so that other callers do the same with and without these.
    let mut rng = Rng::new(world.plan.seed.wrapping_mul(151).wrapping_add(29));
    for number in 0_u64.. {
        tokio::time::sleep(Duration::from_millis(rng.within(100..=2500))).await;
        if world.load_is_over() {
            return;
        }
        // Several at once, so that they meet.
        for copy in 0..rng.pick(&[1, 1, 2, 3]) {
            let new = draw(&world, &mut rng, number * 10 + copy);
            let (world, processes) = (Arc::clone(&world), Arc::clone(&processes));
            tokio::spawn(async move { create(&world, &processes, new, number * 10 + copy).await });
        }
    }
}

/// The element that a creation adds to the data.
pub fn element(number: u64) -> String {
    json!({ "debounced": number }).to_string()
}

fn draw(world: &World, rng: &mut Rng, number: u64) -> NewTask {
    #[allow(clippy::expect_used)] // constants of the simulation
    let (function, key) = (
        FunctionName::parse(&world.plan.functions[0].name).expect("a function's name"),
        DebounceKey::parse(format!("key{}", rng.below(2))).expect("a key"),
    );
    let seconds = rng.pick(&[1, 3, 8]);
    #[allow(clippy::expect_used)]
    let debounce = Debounce {
        key,
        seconds: DebounceSeconds::new(seconds).expect("seconds"),
        max_seconds: if rng.odds(300) { MostDebounceSeconds::new(seconds + 2).ok() } else { None },
        mode: DebounceMode::Append,
    };
    NewTask {
        data: Json::parse(element(number)).ok(),
        options: TaskOptions { debounce: Some(debounce), ..TaskOptions::default() },
        ..NewTask::of(function)
    }
}

async fn create(world: &World, processes: &Processes, new: NewTask, number: u64) {
    let Some(process) = processes.any() else { return };
    match process.service.create_task(&Caller::Nobody, new).await {
        Ok(task) => {
            world.note(None, Some(task.id), "a debounced creation is acknowledged");
            world.journal().debounced.push((number, task.id));
        }
        Err(error) => world.note(None, None, format!("could not create a debounced task: {error}")),
    }
}
