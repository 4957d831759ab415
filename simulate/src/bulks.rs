//! Callers that act on many Tasks at once.

use std::{sync::Arc, time::Duration};

use tasklane_model::{
    BulkOrder, BulkSelection, Caller, Identity, NewBulk, ObjectId, PerSecond, Permissions, Priority, UserId,
};
use tasklane_ports::Clock as _;
use tasklane_service::Backfill;

use crate::{chance::Rng, process::Processes, world::World};

/// How many operations there are at most: each replay makes Tasks, which later ones replay again.
const MOST: u64 = 5;

/// Begins operations until the plan's time is over, in every third seed.
pub async fn run(world: Arc<World>, processes: Arc<Processes>) {
    if world.plan.is_quiet || !world.plan.seed.is_multiple_of(3) {
        return;
    }
    // A stream of its own, so that other callers do the same with and without these.
    let mut rng = Rng::new(world.plan.seed.wrapping_mul(149).wrapping_add(5));
    let mut past = Rng::new(world.plan.seed ^ 0x6261_636b_6669_6c6c);
    for _ in 0..MOST {
        tokio::time::sleep(Duration::from_millis(rng.within(2000..=20_000))).await;
        if world.load_is_over() {
            return;
        }
        let (new, stops) = (draw(&world, &mut rng), rng.odds(150));
        let (world, processes) = (Arc::clone(&world), Arc::clone(&processes));
        let schedules: Vec<_> = world.journal().schedules.iter().map(|schedule| schedule.id).collect();
        if !schedules.is_empty() && past.odds(400) {
            let (schedule, seconds) = (past.pick(&schedules), past.within(1..=30));
            let (world, processes) = (Arc::clone(&world), Arc::clone(&processes));
            tokio::spawn(async move { backfill(&world, &processes, schedule, Duration::from_secs(seconds)).await });
        }
        tokio::spawn(async move { begin(&world, &processes, new, stops).await });
    }
}

fn draw(world: &World, rng: &mut Rng) -> NewBulk {
    // Occurrences of schedules have starts of their own.
    let mut rql = "gt(data.n,0)".to_owned();
    if rng.odds(500) {
        let index = usize::try_from(rng.below(world.plan.functions.len() as u64)).unwrap_or(0);
        rql = format!("{rql}&functionName={}", world.plan.functions[index].name);
    }
    let start = world.now().saturating_add(Duration::from_millis(rng.below(10_000)));
    let order = match rng.below(8) {
        0..4 => BulkOrder::Replay { data: None, start: rng.odds(200).then_some(start), priority: None },
        4 => BulkOrder::Cancel,
        5 => BulkOrder::RetryNow,
        6 => BulkOrder::Reschedule { start },
        _ => BulkOrder::SetPriority { priority: Priority::new(rng.pick(&[-2, 3])).unwrap_or_default() },
    };
    let per_second = PerSecond::new(rng.pick(&[0, 0, 1, 3])).ok();
    NewBulk { order, selection: BulkSelection::Rql(rql), per_second, reason: None, dry_run: false }
}

async fn begin(world: &World, processes: &Processes, new: NewBulk, stops: bool) {
    let Some(process) = processes.any() else { return };
    let action = new.order.action();
    let created = match process.service.create_bulk(&caller(), new).await {
        Ok(created) => created,
        Err(error) => return world.note(None, None, format!("could not begin a bulk operation: {error}")),
    };
    let Some(id) = created.id else { return };
    world.note(None, None, format!("the operation {id} is acknowledged: {action} {} tasks", created.matches));
    world.journal().bulks.push(id);
    if stops {
        process.life.sleep(Duration::from_secs(2)).await;
        if let Err(error) = process.service.stop_bulk(&caller(), id).await {
            world.note(None, None, format!("could not stop a bulk operation: {error}"));
        }
    }
}

/// Creates the Tasks of a Schedule's last occurrences.
async fn backfill(world: &World, processes: &Processes, schedule: ObjectId, length: Duration) {
    let Some(process) = processes.any() else { return };
    let now = process.life.now();
    let range = Backfill { from: now.saturating_sub(length), to: now, dry_run: false, per_second: None, reason: None };
    match process.service.backfill_schedule(&caller(), schedule, range).await {
        Ok(created) => {
            world.note(None, None, format!("a backfill is acknowledged: {} occurrences", created.matches));
            world.journal().bulks.extend(created.id);
        }
        Err(error) => world.note(None, None, format!("could not begin a backfill: {error}")),
    }
}

fn caller() -> Caller {
    #[allow(clippy::expect_used)] // a constant of the simulation
    let user_id = UserId::parse("bob").expect("a user's id");
    Caller::User(Identity { user_id, application_id: None, permissions: Permissions::all() }.into())
}
