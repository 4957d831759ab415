//! A seeded simulation of the queue: the real `dispatch`, `service` and `store`, on one thread, with a clock that
//! jumps, and with faults at every await.
//!
//! Everything random comes from the seed, so a seed is a whole history, the same one each time. `docs/simulation.md`
//! lists the promises and the faults, and says how to replay a seed.

mod bulks;
mod chance;
mod check;
mod cloud;
mod debounces;
mod dynamodb;
mod edits;
mod flows;
mod journal;
mod lambda;
mod life;
mod live;
mod load;
mod outside;
mod plan;
mod planted;
mod process;
mod repeats;
mod request;
mod row;
pub mod scale;
mod time;
mod versions;
mod wire;
mod world;

use std::{sync::Arc, time::Duration};

pub use journal::Violation;
pub use plan::Plan;
pub use planted::Bug;

use tasklane_store::Division;

use chance::{Rng, SeededChance};
use load::Load;
use planted::{NoBug, Seams};
use process::Processes;
use world::{TrueClock, World};

/// The result of a seed.
#[derive(Clone, Debug)]
pub struct Report {
    pub seed: u64,
    /// A hash of the history.
    pub hash: u64,
    /// The number of Tasks.
    pub tasks: usize,
    /// The number of runs.
    pub runs: usize,
    /// The number of lines of the whole trace.
    pub lines: u64,
    /// Broken promises; empty if all is well.
    pub violations: Vec<String>,
    /// The lines that explain the first of them.
    pub trace: Vec<String>,
    /// The whole trace, or as much of it as is kept.
    pub whole: Vec<String>,
}

/// The number of lines of the trace that a failure shows.
const SHOWN: usize = 80;
/// The number of lines before the violation that it shows, whatever they concern.
const AROUND: usize = 12;

/// Runs a seed, optionally with a planted bug.
///
/// # Panics If no runtime can be created.
pub fn run(seed: u64, bug: Option<Bug>) -> Report {
    #[allow(clippy::expect_used)] // without a runtime there is no simulation
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let report = runtime.block_on(simulate(Plan::of(seed), bug));
    runtime.shutdown_background();
    report
}

async fn simulate(plan: Plan, bug: Option<Bug>) -> Report {
    let world = World::new(plan, bug.map_or(&NoBug as &dyn Seams, Bug::seams));
    let clock: Arc<TrueClock> = Arc::new(TrueClock(Arc::clone(&world)));
    let database = tasklane_local::database::memory_connector(Some(clock.clone()), None);
    let store = {
        let chance = SeededChance::new(Rng::new(world.plan.seed));
        process::store_of(database.clone(), clock, &chance, &world.plan, Division::NONE)
    };
    if let Err(error) = store.create_tables().await {
        world.violated([], format!("the tables could not be created: {error}"));
    }
    let processes = Processes::new(Arc::clone(&world), database);
    processes.start();
    let mut load = Load::new(Arc::clone(&world), Arc::clone(&processes));
    load.prepare().await;

    world.set_calm(false);
    let watch = tokio::spawn(check::watch(Arc::clone(&world)));
    let chaos = tokio::spawn(chaos(Arc::clone(&world), Arc::clone(&processes)));
    tokio::join!(
        load.run(),
        repeats::run(Arc::clone(&world), Arc::clone(&processes)),
        edits::run(Arc::clone(&world), Arc::clone(&processes)),
        versions::run(Arc::clone(&world), Arc::clone(&processes)),
        bulks::run(Arc::clone(&world), Arc::clone(&processes)),
        debounces::run(Arc::clone(&world), Arc::clone(&processes)),
        flows::run(Arc::clone(&world), Arc::clone(&processes)),
    );
    chaos.abort();
    world.set_calm(true);
    load.end().await;
    check::until_quiet(&world, &store).await;
    watch.abort();
    check::at_the_end(&world, &store).await;
    report(&world)
}

/// Kills and freezes processes at random times.
async fn chaos(world: Arc<World>, processes: Arc<Processes>) {
    let (crash, freeze) = (world.plan.faults.crash_every, world.plan.faults.freeze_every);
    if crash == 0 && freeze == 0 {
        return;
    }
    loop {
        let step = world.draw(|rng| rng.within(1..=1000));
        tokio::time::sleep(Duration::from_millis(step)).await;
        // The mean pause is half a second.
        let hits = |world: &World, every: u64| every > 0 && world.draw(|rng| rng.below(2 * every) == 0);
        if hits(&world, crash)
            && let Some(process) = processes.any()
        {
            process.life.die("at a random moment");
        }
        if hits(&world, freeze)
            && let Some(process) = processes.any()
        {
            let millis = world.draw(|rng| rng.within(100..=world.plan.faults.longest_freeze.max(100)));
            process.life.freeze(Duration::from_millis(millis));
        }
    }
}

fn report(world: &World) -> Report {
    let runs = world.cloud.lock().unwrap_or_else(std::sync::PoisonError::into_inner).runs.len();
    let journal = world.journal();
    let told = |violation: &Violation| {
        let tasks: Vec<_> = violation.tasks.iter().map(ToString::to_string).collect();
        format!("at {} ms: {} {}", violation.at, violation.what, tasks.join(" "))
    };
    let trace = journal.violations.first().map_or_else(Vec::new, |violation| {
        let lines = journal.lines_about(violation, SHOWN, AROUND);
        lines.into_iter().map(ToString::to_string).collect()
    });
    Report {
        seed: world.plan.seed,
        hash: journal.hash(),
        tasks: journal.rows.len(),
        runs,
        lines: journal.written,
        violations: journal.violations.iter().map(told).collect(),
        trace,
        whole: journal.lines().map(ToString::to_string).collect(),
    }
}
