//! The order of the queue, and how Tasks enter it.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use tasklane::{
    model::{Lane, ObjectId, Priority, Task},
    store::{Candidate, QueueLane},
};

use super::{World, function};

fn ids(candidates: &[Candidate]) -> Vec<ObjectId> {
    candidates.iter().map(|candidate| candidate.id).collect()
}

fn prioritised(world: &World, priority: i64) -> Task {
    let mut task = world.task();
    task.priority = Priority::new(priority).unwrap();
    task
}

#[tokio::test]
async fn the_higher_priority_comes_first_then_the_earlier_start_then_the_earlier_id() {
    let world = World::new().await;
    let mut expected = Vec::new();
    for priority in [Priority::MAX.get(), 1, 0, -1, Priority::MIN.get()] {
        for start in [3_u64, 2, 2] {
            let mut task = prioritised(&world, priority);
            task.start_timestamp = world.now().saturating_sub(Duration::from_secs(start));
            expected.push(task);
        }
    }
    // Added in a different order.
    for task in expected.iter().rev() {
        world.create(task).await;
    }
    assert_eq!(world.heads().await, expected.iter().map(|task| task.id).collect::<Vec<_>>());
    let first = world.store.tasks.heads(&[QueueLane::Shared], 2).await.unwrap();
    assert_eq!(ids(&first), [expected[0].id, expected[1].id]);
}

#[tokio::test]
async fn a_task_waits_for_its_start_and_then_joins_the_queue() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let due = world.create(&world.task()).await;
    let mut later = prioritised(&world, 5);
    later.start_timestamp = world.now().saturating_add(Duration::from_secs(10));
    let mut much_later = world.task();
    much_later.start_timestamp = world.now().saturating_add(Duration::from_secs(20));
    world.create(&much_later).await;
    world.create(&later).await;

    assert_eq!(world.heads().await, [due]);
    assert_eq!(tasks.earliest_waiting().await.unwrap(), Some(later.start_timestamp));
    world.clock.advance(Duration::from_millis(9_999));
    assert_eq!(tasks.promote_due(world.now(), 10).await.unwrap().moved, 0);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(tasks.promote_due(world.now(), 10).await.unwrap().moved, 1);
    assert_eq!(tasks.promote_due(world.now(), 10).await.unwrap().moved, 0);
    assert_eq!(world.heads().await, [later.id, due]);
    assert_eq!(tasks.earliest_waiting().await.unwrap(), Some(much_later.start_timestamp));
    // Callers do not see a promotion.
    assert_eq!(world.get(later.id).await.task, later);
}

#[tokio::test]
async fn promotion_takes_the_earliest_tasks_first_and_no_more_than_requested() {
    let world = World::new().await;
    let mut expected = Vec::new();
    for seconds in [3, 1, 2] {
        let mut task = world.task();
        task.start_timestamp = world.now().saturating_add(Duration::from_secs(seconds));
        world.create(&task).await;
        expected.push((seconds, task.id));
    }
    expected.sort();
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(world.store.tasks.promote_due(world.now(), 2).await.unwrap().moved, 2);
    assert_eq!(world.heads().await, expected[..2].iter().map(|(_, id)| *id).collect::<Vec<_>>());
    assert_eq!(world.store.tasks.promote_due(world.now(), 2).await.unwrap().moved, 1);
    assert_eq!(world.store.tasks.earliest_waiting().await.unwrap(), None);
}

#[tokio::test]
async fn functions_with_a_lane_of_their_own_are_merged_in_only_when_asked_for() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let shared = world.create(&world.task_of("shared")).await;
    let mut held = world.task_of("held");
    held.priority = Priority::new(1).unwrap();
    tasks.create(&held, Lane::Own, world.now()).await.unwrap();
    assert_eq!(world.heads().await, [shared]);
    let own = QueueLane::Own(function("held"));
    let both = tasks.heads(&[QueueLane::Shared, own.clone()], 10).await.unwrap();
    assert_eq!(ids(&both), [held.id, shared]);
    assert_eq!((both[0].lane.clone(), both[0].function.clone()), (own, function("held")));
    assert_eq!(world.get(held.id).await.queue, Lane::Own);
    assert_eq!(tasks.own_lanes().await.unwrap(), [function("held")]);
}

#[tokio::test]
async fn a_task_moves_to_its_own_lane_and_cannot_be_claimed_from_the_old_one() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let id = world.create(&world.task()).await;
    let before = world.candidates().await.remove(0);
    assert!(tasks.move_to_own_lane(&before).await.unwrap());
    assert_eq!(world.heads().await, []);
    assert_eq!(tasks.claim(&before, &world.run(), world.now()).await.unwrap(), None);
    let after = tasks.heads(&[QueueLane::Own(function("f"))], 10).await.unwrap();
    assert_eq!(ids(&after), [id]);
    assert_eq!(after[0].key, before.key);
    assert_eq!(world.get(id).await.queue, Lane::Own);
    assert!(tasks.claim(&after[0], &world.run(), world.now()).await.unwrap().is_some());
    assert!(!tasks.move_to_own_lane(&before).await.unwrap());
}

#[tokio::test]
async fn a_waiting_task_of_a_held_back_function_is_promoted_to_its_own_lane() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let mut task = world.task_of("held");
    task.start_timestamp = world.now().saturating_add(Duration::from_secs(1));
    tasks.create(&task, Lane::Own, world.now()).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(tasks.promote_due(world.now(), 10).await.unwrap().moved, 1);
    assert_eq!(world.heads().await, []);
    assert_eq!(ids(&tasks.heads(&[QueueLane::Own(function("held"))], 10).await.unwrap()), [task.id]);
}

#[tokio::test]
async fn long_lanes_are_read_to_their_end() {
    let world = World::new().await;
    for _ in 0..250 {
        world.create(&world.task()).await;
    }
    assert_eq!(world.store.tasks.heads(&[QueueLane::Shared], 1000).await.unwrap().len(), 250);
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_lane_of_its_own_is_forgotten_when_it_is_empty_and_long_unused() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let task = world.task_of("held");
    tasks.create(&task, Lane::Own, world.now()).await.unwrap();
    world.clock.advance(HOUR);
    // It holds a Task.
    assert_eq!(tasks.forget_idle_lanes().await.unwrap(), 0);
    let own = QueueLane::Own(function("held"));
    let head = tasks.heads(std::slice::from_ref(&own), 1).await.unwrap().remove(0);
    tasks.claim(&head, &world.run(), world.now()).await.unwrap().unwrap();
    assert_eq!(tasks.forget_idle_lanes().await.unwrap(), 1);
    assert_eq!(tasks.own_lanes().await.unwrap(), []);
    // The process that knew it writes it down again.
    let again = world.task_of("held");
    tasks.create(&again, Lane::Own, world.now()).await.unwrap();
    assert_eq!(tasks.own_lanes().await.unwrap(), [function("held")]);
    tasks.cancel(again.id, world.now()).await.unwrap();
    // It is empty, but a process that knows it may be about to use it.
    world.clock.advance(HOUR / 4);
    assert_eq!(tasks.forget_idle_lanes().await.unwrap(), 0);
}

#[tokio::test]
async fn a_lane_of_its_own_that_is_in_use_is_written_down_now_and_then() {
    let world = World::new().await;
    let (tasks, other) = (&world.store.tasks, world.another_store(|_| {}));
    let mut writes = 0;
    for _ in 0..12 {
        world.wire.forget();
        for store in [&world.store, &other] {
            let task = world.task_of("held");
            store.tasks.create(&task, Lane::Own, world.now()).await.unwrap();
            store.tasks.cancel(task.id, world.now()).await.unwrap();
        }
        // Two Tasks, two cancellations and their marks.
        writes += world.wire.calls("PutItem") - 4;
        world.clock.advance(HOUR / 12);
        assert_eq!(tasks.forget_idle_lanes().await.unwrap(), 0);
    }
    // By either process, each ten minutes; the first Task also recorded the day.
    assert!((5..=8).contains(&writes), "{writes}");
}

#[tokio::test]
async fn a_lane_that_an_older_version_wrote_down_is_kept_for_as_long() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let row =
        [("pk", "own-lanes"), ("sk", "held")].map(|(name, value)| (name.to_owned(), AttributeValue::S(value.into())));
    let row = row.into_iter().chain([("v".to_owned(), AttributeValue::N("1".into()))]).collect();
    let table = format!("{}-control", world.prefix);
    world.client.put_item().table_name(table).set_item(Some(row)).send().await.unwrap();
    assert_eq!(tasks.forget_idle_lanes().await.unwrap(), 0);
    world.clock.advance(HOUR / 2);
    assert_eq!(tasks.forget_idle_lanes().await.unwrap(), 0);
    world.clock.advance(HOUR / 2);
    assert_eq!(tasks.forget_idle_lanes().await.unwrap(), 1);
}
