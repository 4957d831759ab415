//! Measures what a process costs with and without a jail. Ignored by default, because it prints figures and checks
//! nothing.

#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use serde_json::json;
use tasklane_model::Runtime;

use super::harness::World;

const COLD_RUNS: usize = 25;
const WARM_RUNS: usize = 300;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure, not a test"]
async fn of_cold_and_warm_runs() {
    for runtime in ["nodejs20.x", "python3.11"] {
        for (named, world) in [("with a jail", World::new()), ("without", World::unjailed())] {
            let files = [
                ("index.js", "exports.handler = async () => 1"),
                ("index.py", "def handler(event, context):\n    return 1\n"),
            ];
            let function = world.deploy(&files, |spec| spec.configuration.set_runtime(Runtime::new(runtime))).await;
            world.run(&function, json!({})).await.returned();
            let mut cold = Vec::new();
            for _ in 0..COLD_RUNS {
                world.lambda.engine.pool.end_idle(|_| true).await;
                cold.push(timed(&world, &function).await);
            }
            let mut warm = Vec::new();
            for _ in 0..WARM_RUNS {
                warm.push(timed(&world, &function).await);
            }
            println!("{runtime} {named}: cold {:.1} ms, warm {:.2} ms", median(cold), median(warm));
            world.lambda.shutdown(Duration::ZERO).await;
        }
    }
}

async fn timed(world: &World, function: &super::harness::Deployed) -> Duration {
    let begun = Instant::now();
    world.invoke(function, "{}".into(), world.new_id()).await.unwrap();
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}
