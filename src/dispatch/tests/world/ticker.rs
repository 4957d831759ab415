//! Ticks with much to do and a slow database.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::FutureExt as _;
use tasklane_dispatch::{TICK_BUDGET, Ticked, new_run};
use tasklane_model::{ObjectId, TaskError, TaskErrorKind, TaskStatus};
use tasklane_ports::Clock as _;
use tasklane_service::FunctionOptions;
use tasklane_store::{QueueLane, RunnerId};
use tasklane_testing::World;
use tokio_util::sync::CancellationToken;

/// A call of DynamoDB.
const CALL: Duration = Duration::from_millis(20);

const MINUTE: Duration = Duration::from_secs(60);

/// A world at rest with this many hourly Schedules, whose ids are returned and which are due in a minute.
async fn with_schedules(count: usize) -> (World, Vec<ObjectId>) {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let due = world.now().saturating_add(MINUTE);
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(world.schedule("hello", 3600, Some(due)).await.id);
    }
    (world, ids)
}

/// Lets the Schedules become due, with a database that answers after this time from then on.
async fn come_due(world: &World, latency: Duration) {
    world.clock.sleep(MINUTE + Duration::from_secs(5)).await;
    world.woken.notified().now_or_never();
    world.database.take(latency);
}

/// The number of ready Tasks. Their data are not needed, so the index is enough.
async fn ready(world: &World) -> usize {
    world.store.tasks.heads(&[QueueLane::Shared], 100_000).await.unwrap().len()
}

/// How many of these Schedules have moved on by exactly one occurrence.
async fn moved(world: &World, ids: &[ObjectId]) -> usize {
    world.database.take(Duration::ZERO);
    let mut moved = 0;
    for id in ids {
        let schedule = world.store.schedules.get(*id).await.unwrap().unwrap();
        let by = schedule.next_timestamp.unwrap().since(schedule.start_timestamp);
        assert!(by.is_zero() || by == Duration::from_secs(3600), "{id} moved by {by:?}");
        moved += usize::from(!by.is_zero());
    }
    moved
}

/// Work for each part of a tick but the Schedules: a waiting Task, a Task of a dead runner, and a failure whose event was
/// refused.
struct OtherWork {
    zombie: ObjectId,
    unpublished: ObjectId,
}

impl OtherWork {
    async fn on(world: &World) -> Self {
        let claim = async || {
            let task = world.task("hello").await;
            let head = world.store.tasks.heads(&[QueueLane::Shared], 1).await.unwrap().remove(0);
            let function = world.store.functions.get(&task.function_name).await.unwrap().unwrap().value;
            let run = new_run(&world.ports, &RunnerId::new("dead"), function.time_limit());
            world.store.tasks.claim(&head, &run, run.started).await.unwrap().unwrap();
            (task.id, run)
        };
        let (unpublished, run) = claim().await;
        let error = TaskError { kind: TaskErrorKind::Runtime, name: "Oops".to_owned(), message: "as told".to_owned() };
        assert!(world.store.tasks.fail(unpublished, &run.attempt, &error, None, world.now()).await.unwrap());
        let (zombie, _) = claim().await;
        world.task_with("hello", 0, Some(world.now().saturating_add(MINUTE))).await;
        Self { zombie, unpublished }
    }

    /// Waits until all of it is done.
    async fn done(&self, world: &World) {
        world.when(self.zombie, |status| status == TaskStatus::Failed).await;
        promoted(world).await;
        while !world.events.published().iter().any(|event| event.content.id == self.unpublished) {
            world.clock.sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Waits until no Task is waiting for its time any more.
async fn promoted(world: &World) {
    while world.store.tasks.earliest_waiting().await.unwrap().is_some() {
        world.clock.sleep(Duration::from_millis(10)).await;
    }
}

/// How long it took until this was done.
async fn timed(world: &World, until: impl Future<Output = ()>) -> Duration {
    let began = world.now();
    until.await;
    world.now().since(began)
}

#[tokio::test(start_paused = true)]
async fn thousands_of_schedules_delay_neither_the_first_wake_up_nor_the_other_parts() {
    const COUNT: usize = 2000;
    let (world, ids) = with_schedules(COUNT).await;
    let other = OtherWork::on(&world).await;
    come_due(&world, CALL).await;
    let began = world.now();
    let (ticked, woken, others) = tokio::join!(
        async { (world.ticker.tick().await, world.now().since(began)) },
        timed(&world, world.woken.notified()),
        timed(&world, other.done(&world)),
    );
    let (ticked, took) = ticked;
    let all = Ticked {
        promoted: 1,
        scheduled: COUNT,
        zombies: 1,
        expired: 0,
        republished: 1,
        gates: 0,
        bulk_slices: 0,
        is_cut: false,
    };
    assert_eq!(ticked.unwrap(), all);
    assert!(woken < Duration::from_secs(1), "the first wake-up came after {woken:?}");
    assert!(others < Duration::from_secs(1), "the other parts took {others:?}");
    // One after the other, with two calls each, they would be 25 a second.
    let a_second = COUNT as u128 * 1000 / took.as_millis();
    assert!((480..=520).contains(&a_second), "{a_second} Schedules a second; the changelog says 500");
    assert_eq!((moved(&world, &ids).await, ready(&world).await), (COUNT, COUNT + 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_tick_has_no_time_for_is_left_to_the_next_one() {
    const COUNT: usize = 1000;
    let (world, ids) = with_schedules(COUNT).await;
    let other = OtherWork::on(&world).await;
    come_due(&world, 40 * CALL).await;
    let began = world.now();
    let ticked = world.ticker.tick().await.unwrap();
    let took = world.now().since(began);
    assert!(ticked.is_cut && (1..COUNT).contains(&ticked.scheduled), "{ticked:?}");
    assert_eq!((ticked.promoted, ticked.zombies, ticked.republished), (1, 1, 1));
    // The calls in progress at the end of the budget are awaited.
    assert!(took < TICK_BUDGET + 40 * CALL * 2, "{took:?}");
    other.done(&world).await;
    assert_eq!(moved(&world, &ids).await, ticked.scheduled);

    let rest = world.ticker.tick().await.unwrap();
    assert_eq!((rest.scheduled, rest.is_cut), (COUNT - ticked.scheduled, false));
    assert_eq!((moved(&world, &ids).await, ready(&world).await), (COUNT, COUNT + 1));
}

#[tokio::test(start_paused = true)]
async fn schedules_that_fail_each_time_stop_neither_those_behind_them_nor_other_parts() {
    const COUNT: usize = 450;
    const BAD: usize = 210;
    let (world, ids) = with_schedules(COUNT).await;
    let other = OtherWork::on(&world).await;
    // The first ones, so that whole batches fail.
    let bad: BTreeSet<_> = ids[..BAD].iter().map(ToString::to_string).collect();
    world.database.refuse(move |operation, body| {
        operation == "TransactWriteItems" && bad.iter().any(|id| body.contains(id.as_str()))
    });
    come_due(&world, CALL).await;
    for scheduled in [COUNT - BAD, 0] {
        let before = world.database.calls();
        let error = world.ticker.tick().await.unwrap_err();
        assert!(error.to_string().contains("create the task of the schedule"), "{error}");
        assert_eq!((error.ticked.scheduled, error.ticked.is_cut), (scheduled, false));
        // One for each Schedule, and some for each batch, for the other parts, and for the lanes and Functions that they read.
        let calls = usize::try_from(world.database.calls() - before).unwrap();
        assert!(calls < BAD + scheduled + 50, "{calls} calls: it spins");
    }
    other.done(&world).await;
    assert_eq!(moved(&world, &ids[..BAD]).await, 0);
    assert_eq!(moved(&world, &ids[BAD..]).await, COUNT - BAD);
    assert_eq!(ready(&world).await, COUNT - BAD + 1);
}

#[tokio::test(start_paused = true)]
async fn on_one_machine_a_tick_that_was_cut_is_followed_by_the_next_one() {
    const COUNT: usize = 1500;
    let (world, ids) = with_schedules(COUNT).await;
    come_due(&world, CALL).await;
    // It comes due while there is still much to do.
    let soon = world.now().saturating_add(Duration::from_secs(2));
    world.task_with("hello", 0, Some(soon)).await;
    let (stop, changed) = (CancellationToken::new(), Arc::default());
    let work = async {
        let began = world.now();
        promoted(&world).await;
        let after = world.now().since(began);
        assert!(after < Duration::from_millis(3500), "a Task that was due after 2 s became ready after {after:?}");
        while ready(&world).await < COUNT + 1 {
            world.clock.sleep(Duration::from_millis(100)).await;
        }
        let after = world.now().since(began);
        assert!(after < Duration::from_secs(10), "everything was done after {after:?}");
        let before = world.database.calls();
        world.clock.sleep(MINUTE).await;
        let calls = world.database.calls() - before;
        assert!(calls < 150, "{calls} calls in a minute in which nothing is due");
        stop.cancel();
    };
    tokio::join!(world.ticker.run_until(&stop, &changed), work);
    assert_eq!(moved(&world, &ids).await, COUNT);
}

#[tokio::test(start_paused = true)]
async fn on_one_machine_schedules_that_fail_each_time_neither_spin_nor_starve_the_others() {
    const COUNT: usize = 300;
    const BAD: usize = 210;
    let (world, ids) = with_schedules(COUNT).await;
    let bad: BTreeSet<_> = ids[..BAD].iter().map(ToString::to_string).collect();
    world.database.refuse(move |operation, body| {
        operation == "TransactWriteItems" && bad.iter().any(|id| body.contains(id.as_str()))
    });
    // So slow that no tick reaches the end of the bad ones.
    come_due(&world, 10 * CALL).await;
    let (stop, changed) = (CancellationToken::new(), Arc::default());
    let before = world.database.calls();
    let work = async {
        world.clock.sleep(MINUTE).await;
        stop.cancel();
    };
    tokio::join!(world.ticker.run_until(&stop, &changed), work);
    let calls = world.database.calls() - before;
    assert!(calls < 2500, "{calls} calls in a minute");
    assert_eq!(moved(&world, &ids[..BAD]).await, 0);
    assert_eq!(moved(&world, &ids[BAD..]).await, COUNT - BAD);
}
