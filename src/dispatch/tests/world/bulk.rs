//! Bulk operations (contract §17).

use std::time::Duration;

use tasklane_model::{
    Bulk, BulkCreated, BulkOrder, BulkSelection, BulkStatus, Caller, FunctionName, FunctionOptions, Json, NewBulk,
    NewTask, ObjectId, OnComplete, PerSecond, Priority, SkipReason, Tags, Task, TaskOptions, TaskStatus, UserId,
};
use tasklane_rql::{Query, Schema};
use tasklane_store::BulkTaken;
use tasklane_testing::World;

use super::bob;

const REPLAY: BulkOrder = BulkOrder::Replay { data: None, start: None, priority: None };

fn rql(rql: &str) -> BulkSelection {
    BulkSelection::Rql(rql.to_owned())
}

async fn create(world: &World, order: BulkOrder, selection: BulkSelection) -> BulkCreated {
    let new = NewBulk { order, selection, per_second: None, reason: None, dry_run: false };
    world.service.create_bulk(&bob(), new).await.unwrap()
}

/// The operation, after a tick.
async fn worked(world: &World, created: BulkCreated) -> Bulk {
    world.ticker.tick().await.unwrap();
    world.service.bulk(created.id.unwrap()).await.unwrap()
}

async fn run(world: &World, order: BulkOrder, selection: BulkSelection) -> Bulk {
    let created = create(world, order, selection).await;
    worked(world, created).await
}

fn skipped(bulk: &Bulk) -> Vec<(SkipReason, u64)> {
    bulk.skipped.iter().map(|skipped| (skipped.reason, skipped.count.get())).collect()
}

async fn tasks(world: &World, rql: &str) -> Vec<Task> {
    let query = Query::parse(&format!("{rql}&limit(50)"), &Schema::TASKS).unwrap();
    let page = world.store.tasks.list(&query, world.now()).await.unwrap();
    page.data.iter().map(|record| serde_json::from_str(record.as_str()).unwrap()).collect()
}

async fn world() -> World {
    let world = World::at_rest(5).await;
    for name in ["f", "next"] {
        world.function(name, FunctionOptions::default()).await;
    }
    world
}

async fn canceled(world: &World) -> Task {
    let task = world.task_with("f", 3, None).await;
    world.service.cancel_task(task.id).await.unwrap();
    task
}

#[tokio::test(start_paused = true)]
async fn a_replay_makes_a_task_like_each_one_and_never_meets_its_own() {
    let world = world().await;
    let mut replayed = Vec::new();
    for _ in 0..3 {
        replayed.push(canceled(&world).await);
    }
    let waiting = world.task("f").await;
    let bulk = run(&world, REPLAY, rql("functionName=f")).await;
    assert_eq!((bulk.status, bulk.matches, bulk.matches_is_exact, bulk.done), (BulkStatus::Complete, 4, true, 3));
    assert_eq!(skipped(&bulk), [(SkipReason::NotFinal, 1)]);
    for task in &replayed {
        let [new] = &tasks(&world, &format!("replayOf={}", task.id)).await[..] else { panic!("not one replay") };
        assert_eq!((new.status, &new.data, new.priority), (TaskStatus::New, &task.data, task.priority));
        assert_eq!(new.origin.created_by_user_id, UserId::parse("bob").ok());
        assert!(new.id > bulk.id && new.start_timestamp >= bulk.creation_timestamp);
    }
    assert!(tasks(&world, &format!("replayOf={}", waiting.id)).await.is_empty());
    assert!(world.store.bulks.running().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replay_can_have_other_values_and_passes_over_what_it_cannot_replay() {
    let world = world().await;
    world.function("gone", FunctionOptions::default()).await;
    let (mine, orphan) = (canceled(&world).await, world.task("gone").await);
    world.service.cancel_task(orphan.id).await.unwrap();
    world.service.delete_function("gone").await.unwrap();
    let missing = ObjectId::new(world.now(), 7);
    let start = world.now().saturating_add(Duration::from_secs(60));
    let data = Some(Json::null());
    let order = BulkOrder::Replay { data: data.clone(), start: Some(start), priority: Priority::new(9).ok() };
    let bulk = run(&world, order, BulkSelection::Ids(vec![orphan.id, mine.id, missing, mine.id])).await;
    assert_eq!((bulk.status, bulk.matches, bulk.done), (BulkStatus::Complete, 3, 1));
    assert_eq!(skipped(&bulk), [(SkipReason::NotFound, 1), (SkipReason::FunctionMissing, 1)]);
    let [new] = &tasks(&world, "status=new").await[..] else { panic!("not one replay") };
    assert_eq!((new.start_timestamp, new.priority.get()), (start, 9));
    assert_eq!(new.data.as_ref().map(Json::as_str), Some("null"));
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_is_followed_as_that_of_one_task() {
    let world = world().await;
    let name = |name: &str| FunctionName::parse(name).unwrap();
    let follow = OnComplete { function_name: name("next"), data: None };
    let options = TaskOptions { on_complete: Some(follow), ..TaskOptions::default() };
    let new = NewTask { options, tags: Tags::try_from(vec!["x".to_owned()]).unwrap(), ..NewTask::of(name("f")) };
    let followed = world.service.create_task(&Caller::Nobody, new).await.unwrap();
    let other = world.task("f").await;
    let bulk = run(&world, BulkOrder::Cancel, rql("functionName=f")).await;
    assert_eq!((bulk.done, skipped(&bulk)), (2, vec![]));
    for id in [followed.id, other.id] {
        assert_eq!(world.get(id).await.status, TaskStatus::Canceled);
    }
    let [next] = &tasks(&world, "functionName=next").await[..] else { panic!("not one follows") };
    assert_eq!(next.data.as_ref().unwrap().to_value()["task"]["status"], "canceled");
    let again = run(&world, BulkOrder::Cancel, rql("functionName=f")).await;
    assert_eq!((again.done, skipped(&again)), (0, vec![(SkipReason::NotNew, 2)]));
}

#[tokio::test(start_paused = true)]
async fn starts_and_priorities_change_together() {
    let world = world().await;
    let later = world.now().saturating_add(Duration::from_secs(600));
    let (due, waiting) = (world.task("f").await, world.task_with("f", 0, Some(later)).await);
    let bulk = run(&world, BulkOrder::RetryNow, rql("status=new")).await;
    assert_eq!((bulk.done, skipped(&bulk)), (1, vec![(SkipReason::Due, 1)]));
    assert!(world.get(waiting.id).await.start_timestamp <= world.now());

    let start = world.now().saturating_add(Duration::from_secs(900));
    assert_eq!(run(&world, BulkOrder::Reschedule { start }, rql("status=new")).await.done, 2);
    let priority = Priority::new(4).unwrap();
    assert_eq!(run(&world, BulkOrder::SetPriority { priority }, rql("status=new")).await.done, 2);
    for id in [due.id, waiting.id] {
        let task = world.get(id).await;
        assert_eq!((task.start_timestamp, task.priority), (start, priority));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slice_that_a_dead_process_had_begun_is_done_again_and_counted_once() {
    let world = world().await;
    let mut of: Vec<Task> = Vec::new();
    for _ in 0..5 {
        of.push(canceled(&world).await);
    }
    let created = create(&world, REPLAY, rql("status=canceled")).await;
    let id = created.id.unwrap();
    // Somebody begins a slice, replays two of its Tasks, and dies.
    let BulkTaken::Work(mut work) = world.store.bulks.take(id, "dead").await.unwrap() else { panic!("not taken") };
    let at = world.now().saturating_add(Duration::from_millis(1));
    work.slice = Some(tasklane_store::Slice { at, ids: of.iter().map(|task| task.id).collect(), next: None });
    assert!(world.store.bulks.save(&mut work).await.unwrap());
    for task in &of[..2] {
        let new =
            world.get(task.id).await.replay(ObjectId::derived_at(at, &[id, task.id]), work.bulk.origin.clone(), at);
        world.store.tasks.create(&new, tasklane_model::Lane::Shared, at).await.unwrap();
    }
    let busy = worked(&world, created).await;
    assert_eq!((busy.status, busy.done), (BulkStatus::Running, 0));
    tokio::time::sleep(Duration::from_secs(61)).await;
    let bulk = worked(&world, created).await;
    assert_eq!((bulk.status, bulk.done, skipped(&bulk)), (BulkStatus::Complete, 5, vec![]));
    assert_eq!(tasks(&world, "status=new").await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_later_operation_is_not_undone_by_an_earlier_one() {
    let world = world().await;
    let later = world.now().saturating_add(Duration::from_secs(600));
    let task = world.task_with("f", 0, Some(later)).await;
    let [low, high] = [1, 2].map(|n| BulkOrder::SetPriority { priority: Priority::new(n).unwrap() });
    let first = create(&world, low, rql("status=new")).await;
    // Only the second one is worked on.
    let BulkTaken::Work(first_work) = world.store.bulks.take(first.id.unwrap(), "slow").await.unwrap() else {
        panic!("not taken")
    };
    assert_eq!(run(&world, high, rql("status=new")).await.done, 1);
    world.store.bulks.give_back(*first_work).await.unwrap();
    let first = worked(&world, first).await;
    assert_eq!((first.done, skipped(&first)), (0, vec![(SkipReason::Superseded, 1)]));
    assert_eq!(world.get(task.id).await.priority.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_operation_keeps_to_its_pace_and_can_be_stopped() {
    let world = World::running(1).await;
    world.function("f", FunctionOptions { ..FunctionOptions::default() }).await;
    let later = world.now().saturating_add(Duration::from_secs(3600));
    for _ in 0..40 {
        world.task_with("f", 0, Some(later)).await;
    }
    let new = NewBulk {
        order: BulkOrder::Cancel,
        selection: rql("functionName=f"),
        per_second: PerSecond::new(2).ok(),
        reason: Some("slowly".to_owned()),
        dry_run: false,
    };
    let id = world.service.create_bulk(&bob(), new).await.unwrap().id.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let bulk = world.service.bulk(id).await.unwrap();
    assert!((8..=22).contains(&bulk.done), "{} in 10 s", bulk.done);
    world.service.stop_bulk(&bob(), id).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let stopped = world.service.bulk(id).await.unwrap();
    let canceled = tasks(&world, "status=canceled").await.len() as u64;
    assert_eq!((stopped.status, stopped.done), (BulkStatus::Stopped, canceled));
    assert!(stopped.done <= bulk.done + 2, "{} after it was stopped at {}", stopped.done, bulk.done);
    assert!(world.store.bulks.running().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_with_nothing_else_to_do_works_on_operations() {
    let world = world().await;
    for _ in 0..3 {
        canceled(&world).await;
    }
    let start = Some(world.now().saturating_add(Duration::from_secs(3600)));
    let created = create(&world, BulkOrder::Replay { data: None, start, priority: None }, rql("status=canceled")).await;
    let ends = world.now().saturating_add(Duration::from_secs(600));
    let shift = tasklane_dispatch::Shift { woken_for: vec![], ends, longest_drain: Duration::from_secs(60) };
    tasklane_dispatch::work_shift(&world.dispatcher, &world.slots, &world.ports, shift).await.unwrap();
    assert_eq!(world.service.bulk(created.id.unwrap()).await.unwrap().done, 3);
}
