//! What one invocation of a dispatcher does: when it looks, when it leaves, and whom it wakes.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use tasklane_dispatch::{Idle, LONGEST_DRAIN, Shift, work_shift};
use tasklane_model::{FunctionName, TaskStatus, TimeLimit};
use tasklane_service::FunctionOptions;
use tasklane_testing::World;

use super::{limited, shift_for};

/// A shift of this process that goes on by itself.
fn start(world: &World, shift: Shift) -> tokio::task::JoinHandle<()> {
    let (dispatcher, slots, ports) = (world.dispatcher.clone(), Arc::clone(&world.slots), world.ports.clone());
    tokio::spawn(async move { work_shift(&dispatcher, &slots, &ports, shift).await.unwrap() })
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_that_holds_a_run_takes_what_comes_without_a_wake_up() {
    let world = World::at_rest(5).await;
    world.function("slow", FunctionOptions::default()).await;
    world.lambda.take("slow", Duration::from_secs(25));
    let first = world.task("slow").await;
    let shift = start(&world, shift_for(&world, []));
    world.when(first.id, |status| status == TaskStatus::InProgress).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        // Nobody wakes this process: its shift has no ear for that.
        let task = world.task("slow").await;
        let created = world.now();
        world.when(task.id, |status| status == TaskStatus::InProgress).await;
        assert!(world.now().since(created) <= Duration::from_secs(2), "{:?}", world.now().since(created));
    }
    assert_eq!(world.get(first.id).await.status, TaskStatus::InProgress, "all of them beside the first run");
    shift.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_that_waits_for_a_slot_of_another_process_finds_it_free() {
    let world = World::at_rest(2).await;
    world.function("slow", FunctionOptions::default()).await;
    world.lambda.take("slow", Duration::from_secs(25));
    let hello = world.store.functions.get(&FunctionName::parse("slow").unwrap()).await.unwrap().unwrap().value;
    let other = world.beside(2, "another");
    let used = other.slots.acquire_queued(&hello).await.unwrap();
    let tasks = [world.task("slow").await, world.task("slow").await];
    let shift = start(&world, shift_for(&world, []));
    world.when(tasks[0].id, |status| status == TaskStatus::InProgress).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.get(tasks[1].id).await.status, TaskStatus::New);
    drop(used);
    other.slots.give_back(Idle::All).await;
    let freed = world.now();
    world.when(tasks[1].id, |status| status == TaskStatus::InProgress).await;
    assert!(world.now().since(freed) <= Duration::from_secs(2));
    shift.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_holds_no_more_runs_than_it_can_and_wakes_another_for_the_rest() {
    let world = World::at_rest(5).await;
    world.function("slow", FunctionOptions::default()).await;
    world.lambda.take("slow", Duration::from_secs(10));
    let tasks = [world.task("slow").await, world.task("slow").await, world.task("slow").await];
    // The wake-ups of their creation.
    let _ = world.woken.notified().now_or_never();
    let (dispatcher, slots, ports) =
        (world.dispatcher.clone().holding_at_most(2), Arc::clone(&world.slots), world.ports.clone());
    let shift = shift_for(&world, []);
    let shift = tokio::spawn(async move { work_shift(&dispatcher, &slots, &ports, shift).await.unwrap() });
    world.when(tasks[1].id, |status| status == TaskStatus::InProgress).await;
    tokio::time::timeout(Duration::from_secs(2), world.woken.notified()).await.expect("another is woken");
    assert_eq!(world.get(tasks[2].id).await.status, TaskStatus::New);
    shift.await.unwrap();
    assert_eq!(world.get(tasks[2].id).await.status, TaskStatus::Complete, "it takes up what nobody else took");
    assert_eq!(world.lambda.most_running(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_whose_end_comes_near_wakes_another_before_it_waits_for_its_runs() {
    let world = World::at_rest(5).await;
    world.function("slow", FunctionOptions::default()).await;
    world.lambda.take("slow", Duration::from_secs(25));
    let first = world.task("slow").await;
    let _ = world.woken.notified().now_or_never();
    let ends = world.now().saturating_add(LONGEST_DRAIN + Duration::from_secs(5));
    let shift = start(&world, Shift { woken_for: Vec::new(), ends, longest_drain: LONGEST_DRAIN });
    tokio::time::timeout(Duration::from_secs(6), world.woken.notified()).await.expect("another is woken");
    assert_eq!(world.get(first.id).await.status, TaskStatus::InProgress, "its run goes on");
    let late = world.task("slow").await;
    shift.await.unwrap();
    assert_eq!(world.get(first.id).await.status, TaskStatus::Complete);
    assert_eq!(world.get(late.id).await.status, TaskStatus::New, "it claims nothing more");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_began_together_the_older_drains_early_and_the_younger_goes_on() {
    let world = World::at_rest(5).await;
    let younger = world.beside(5, "younger");
    world
        .function("slow", FunctionOptions { time_limit: TimeLimit::new(300).ok(), ..FunctionOptions::default() })
        .await;
    for process in [&world, &younger] {
        process.lambda.take("slow", Duration::from_secs(280));
    }
    let began = world.now();
    let first = world.task("slow").await;
    let shifts = [start(&world, shift_for(&world, [])), {
        world.when(first.id, |status| status == TaskStatus::InProgress).await;
        let second = world.task("slow").await;
        let shift = start(&younger, shift_for(&younger, []));
        world.when(second.id, |status| status == TaskStatus::InProgress).await;
        shift
    }];
    let _ = world.woken.notified().now_or_never();
    tokio::time::timeout(Duration::from_secs(200), world.woken.notified()).await.expect("another is woken");
    assert!(world.now().since(began) < Duration::from_secs(200), "long before its time is up");
    tokio::time::sleep(Duration::from_secs(20)).await;
    // Its run goes on, and what comes now is the other's.
    assert_eq!(world.get(first.id).await.status, TaskStatus::InProgress);
    let late = world.task("slow").await;
    world.when(late.id, |status| status == TaskStatus::InProgress).await;
    assert_eq!(younger.dispatcher.running() + world.dispatcher.running(), 3);
    assert!(younger.dispatcher.running() > world.dispatcher.running());
    for shift in shifts {
        shift.await.unwrap();
    }
    assert_eq!(world.get(late.id).await.status, TaskStatus::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_waits_for_a_task_that_it_was_woken_for_and_that_is_about_to_be_due() {
    let world = World::at_rest(1).await;
    world.function("hello", FunctionOptions::default()).await;
    let soon = world.now().saturating_add(Duration::from_secs(2));
    let task = world.task_with("hello", 0, Some(soon)).await;
    start(&world, shift_for(&world, [task.id])).await.unwrap();
    assert_eq!(world.get(task.id).await.status, TaskStatus::Complete);

    let later = world.now().saturating_add(Duration::from_secs(60));
    let task = world.task_with("hello", 0, Some(later)).await;
    let began = world.now();
    start(&world, shift_for(&world, [task.id])).await.unwrap();
    assert_eq!(world.now(), began, "for what is far off it does not wait");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_finds_nothing_to_run_writes_nothing_into_the_ledger() {
    let world = World::at_rest(5).await;
    world.function("narrow", limited(1)).await;
    world.lambda.take("narrow", Duration::from_secs(20));
    let tasks = [world.task("narrow").await, world.task("narrow").await];
    let shift = start(&world, shift_for(&world, []));
    world.when(tasks[0].id, |status| status == TaskStatus::InProgress).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let revision = world.store.slots.revision(&tasklane_store::SlotScope::Tasks, world.now()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.store.slots.revision(&tasklane_store::SlotScope::Tasks, world.now()).await.unwrap(), revision);
    shift.await.unwrap();
}
