//! Callers who create many Tasks with the same key, and change how keys share a Function.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tasklane_model::{Caller, FlowKey, Json, NewTask, TaskOptions};

use crate::{
    chance::Rng,
    load::{flow_of, name_of},
    plan::FlowPlan,
    process::Processes,
    world::World,
};

/// Makes such calls until the plan's time is over, where a Function has a flow.
pub async fn run(world: Arc<World>, processes: Arc<Processes>) {
    let functions: Vec<_> = world.plan.functions.iter().filter(|function| function.flow.is_some()).cloned().collect();
    if world.plan.is_quiet || functions.is_empty() {
        return;
    }
    // A stream of its own, so that other callers do the same with and without these.
    let mut rng = Rng::new(world.plan.seed.wrapping_mul(173).wrapping_add(41));
    for number in 0_u64.. {
        tokio::time::sleep(Duration::from_millis(rng.within(500..=8000))).await;
        if world.load_is_over() {
            return;
        }
        let index = usize::try_from(rng.below(functions.len() as u64)).unwrap_or(0);
        let function = name_of(&functions[index]);
        if rng.odds(200) {
            let flow = rng.odds(700).then(|| flow_of(FlowPlan::draw(&mut rng)));
            let (world, processes) = (Arc::clone(&world), Arc::clone(&processes));
            tokio::spawn(async move {
                let Some(process) = processes.any() else { return };
                let set = process.service.set_flow(function.as_str(), flow).await;
                world.note(None, None, format!("the flow of {function} is changed: {}", set.is_ok()));
            });
            continue;
        }
        let (burst, key) = (rng.within(1..=8), rng.below(3));
        for copy in 0..burst {
            // Each key is also one that Tasks have in their data.
            let own = rng.odds(300).then(|| FlowKey::parse(key.to_string()).ok()).flatten();
            let data = json!({ "flow": number * 10 + copy, "key": if own.is_some() { 9 } else { key } });
            let new = NewTask {
                data: Some(Json::from(data)),
                options: TaskOptions { flow_key: own, ..TaskOptions::default() },
                ..NewTask::of(function.clone())
            };
            let (world, processes) = (Arc::clone(&world), Arc::clone(&processes));
            tokio::spawn(async move {
                let Some(process) = processes.any() else { return };
                match process.service.create_task(&Caller::Nobody, new).await {
                    Ok(task) => {
                        world.note(None, Some(task.id), "its creation with a key is acknowledged");
                        world.journal().acknowledged.push(task);
                    }
                    Err(error) => world.note(None, None, format!("could not create a task with a key: {error}")),
                }
            });
        }
    }
}
