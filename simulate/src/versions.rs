//! Callers that make versions of Functions, try them, and go back.

use std::{sync::Arc, time::Duration};

use tasklane_model::{CanaryPercent, CanaryRuns, Error, FailWhen, TimeLimit, VersionNumber};
use tasklane_service::{FunctionChange, FunctionOptions, NewCanary, Service};

use crate::{chance::Rng, process::Processes, world::World};

/// What such a caller does.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Makes a version, and switches to it.
    Update,
    /// Makes a version, and tries it.
    Try(u8, Option<(u16, u16)>),
    /// Goes back by so many versions.
    RollBack(u32),
    /// Stops trying.
    Stop,
}

/// Makes such calls until the plan's time is over, in every third seed.
pub async fn run(world: Arc<World>, processes: Arc<Processes>) {
    if world.plan.is_quiet || world.plan.seed % 3 != 1 {
        return;
    }
    // A stream of its own, so that other callers do the same with and without these.
    let mut rng = Rng::new(world.plan.seed.wrapping_mul(157).wrapping_add(29));
    for number in 0_u64.. {
        tokio::time::sleep(Duration::from_millis(rng.within(300..=6000))).await;
        if world.load_is_over() {
            return;
        }
        // The first Function never changes, so that promises about it have no exceptions.
        let others = world.plan.functions.len() as u64 - 1;
        let function = world.plan.functions[1 + usize::try_from(rng.below(others)).unwrap_or(0)].name.clone();
        let act = draw(&mut rng);
        let limit = if rng.odds(300) { Some(7) } else { None };
        let (world, processes) = (Arc::clone(&world), Arc::clone(&processes));
        tokio::spawn(async move {
            let Some(process) = processes.any() else { return };
            match call(&world, &process.service, &function, act, limit, number).await {
                Ok(()) => world.note(None, None, format!("{act:?} of {function} is acknowledged")),
                Err(error) => world.note(None, None, format!("{act:?} of {function} failed: {error}")),
            }
        });
    }
}

fn draw(rng: &mut Rng) -> Act {
    match rng.below(10) {
        0..2 => Act::Update,
        2..7 => Act::Try(rng.pick(&[10, 50, 50, 90]), rng.pick(&[None, Some((1, 1)), Some((2, 5)), Some((3, 4))])),
        7..9 => Act::RollBack(rng.pick(&[1, 1, 2, 5])),
        _ => Act::Stop,
    }
}

async fn call(
    world: &World,
    service: &Service,
    function: &str,
    act: Act,
    limit: Option<i64>,
    number: u64,
) -> Result<(), Error> {
    let change = |publish_only| FunctionChange {
        options: FunctionOptions {
            description: Some(format!("number {number}")),
            time_limit: limit.and_then(|limit| TimeLimit::new(limit).ok()),
            ..FunctionOptions::default()
        },
        publish_only,
        ..FunctionChange::default()
    };
    let current = service.get_function(function).await?.history;
    match act {
        Act::Update => service.update_function(function, change(false)).await.map(|_| ()),
        Act::Try(percent, fail_when) => {
            service.update_function(function, change(true)).await?;
            let version = service.get_function(function).await?.history.newest;
            let runs = |number: u16| CanaryRuns::new(i64::from(number)).unwrap_or(CanaryRuns::MIN);
            let fail_when = fail_when.map(|(failures, of)| FailWhen { failures: runs(failures), of: runs(of) });
            let percent = CanaryPercent::new(i64::from(percent)).unwrap_or(CanaryPercent::MIN);
            service.start_canary(function, NewCanary { version, percent, fail_when }).await.map(|_| ())
        }
        Act::RollBack(by) => {
            let to = i64::from(current.current.number.get().saturating_sub(by).max(1));
            let to = VersionNumber::new(to).unwrap_or(VersionNumber::MIN);
            let version = service.roll_back(function, to, None).await?.version.note.number;
            let series = current.series.map_or_else(String::new, |series| series.to_string());
            let rollback = (function.to_owned(), series, u64::from(to.get()), u64::from(version.get()));
            world.journal().rollbacks.push(rollback);
            Ok(())
        }
        Act::Stop => service.stop_canary(function).await.map(|_| ()),
    }
}
