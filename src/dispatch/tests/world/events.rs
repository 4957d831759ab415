//! The events that a Function asks for (contract §12).

use std::time::Duration;

use tasklane_model::{ObjectId, RetryPolicyChange, TaskEventKind, TaskEvents, TaskStatus};
use tasklane_service::FunctionOptions;
use tasklane_testing::World;

use TaskEventKind::{TaskCanceled, TaskCompleted, TaskFailed, TaskRetried, TaskStarted};

fn publishing<const N: usize>(kinds: [TaskEventKind; N]) -> FunctionOptions {
    FunctionOptions { events: Some(TaskEvents::from_iter(kinds)), ..FunctionOptions::default() }
}

/// A Function that asks for every kind of event.
fn publishing_all() -> FunctionOptions {
    publishing(TaskEventKind::ALL)
}

/// What was published about a Task, in order.
fn published(world: &World, task: ObjectId) -> Vec<TaskEventKind> {
    world.events.published().iter().filter(|event| event.content.id == task).map(|event| event.kind).collect()
}

/// Waits until something else is published about this Task than the first `count` events.
async fn more_than(world: &World, task: ObjectId, count: usize) -> Vec<TaskEventKind> {
    while published(world, task).len() <= count {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    published(world, task)
}

#[tokio::test(start_paused = true)]
async fn a_completed_task_tells_its_start_and_its_end_with_ids_of_their_own() {
    let world = World::running(1).await;
    world.function("told", publishing_all()).await;
    let task = world.task("told").await;
    assert_eq!(more_than(&world, task.id, 1).await, [TaskStarted, TaskCompleted]);
    let events = world.events.published();
    let [started, completed] = &events[..] else { panic!("{events:?}") };
    assert!(started.id != completed.id && started.id != task.id && completed.id != task.id, "{events:?}");
    let done = world.finished(task.id).await;
    assert_eq!(completed.creation_timestamp, done.status_changed_timestamp.as_millis());
    assert_eq!((completed.content.error.as_ref(), completed.content.function_name.as_str()), (None, "told"));
    // Acknowledged, so no ticker publishes them again.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.events.published(), events);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_asks_for_nothing_tells_only_failures() {
    let world = World::running(1).await;
    world.function("quiet", FunctionOptions::default()).await;
    world.function("broken", FunctionOptions::default()).await;
    world.lambda.throw("broken", "Oops");
    let fine = world.task("quiet").await;
    world.finished(fine.id).await;
    let failed = world.task("broken").await;
    assert_eq!(more_than(&world, failed.id, 0).await, [TaskFailed]);
    assert_eq!(world.events.published().len(), 1);
    assert_eq!(world.events.published()[0].id, failed.id);
}

#[tokio::test(start_paused = true)]
async fn each_run_of_a_chain_tells_that_it_was_retried_and_by_which_task() {
    let world = World::running(1).await;
    let options = FunctionOptions { retry_policy: Some(RetryPolicyChange::every_error()), ..publishing([TaskRetried]) };
    world.function("flaky", options).await;
    world.lambda.throw("flaky", "Oops");
    let mut task = world.finished(world.task("flaky").await.id).await;
    while let Some(next) = task.retried_by_task_id {
        assert_eq!(more_than(&world, task.id, 0).await, [TaskRetried]);
        let event = world.events.published().into_iter().find(|event| event.content.id == task.id).unwrap();
        assert_eq!(event.content.retried_by_task_id, Some(next));
        assert_eq!(event.content.error, task.error);
        task = world.finished(next).await;
    }
    assert_eq!(more_than(&world, task.id, 0).await, [TaskFailed]);
}

#[tokio::test(start_paused = true)]
async fn a_canceled_task_tells_that_and_never_a_start() {
    let world = World::running(1).await;
    world.function("told", publishing_all()).await;
    let later = world.now().saturating_add(Duration::from_secs(600));
    let task = world.task_with("told", 0, Some(later)).await;
    world.service.cancel_task(task.id).await.unwrap();
    assert_eq!(more_than(&world, task.id, 0).await, [TaskCanceled]);
    assert_eq!(world.get(task.id).await.status, TaskStatus::Canceled);
}

#[tokio::test(start_paused = true)]
async fn what_the_receiver_refused_is_published_later_as_it_was() {
    let world = World::running(1).await;
    world.function("told", publishing([TaskStarted, TaskCompleted])).await;
    // The start, and the start again together with the end.
    world.events.refuse(2);
    let task = world.finished(world.task("told").await.id).await;
    assert!(world.events.published().is_empty());
    assert_eq!(more_than(&world, task.id, 1).await, [TaskStarted, TaskCompleted]);
    let events = world.events.published();
    let call = &world.lambda.calls()[0];
    assert_eq!(call.correlation, task.id);
    assert_eq!(events[1].creation_timestamp, task.status_changed_timestamp.as_millis());
    assert!(events[0].creation_timestamp <= events[1].creation_timestamp);
}

#[tokio::test(start_paused = true)]
async fn a_task_keeps_the_events_that_its_function_asked_for_when_it_was_created() {
    let world = World::running(1).await;
    world.function("told", publishing([TaskCompleted])).await;
    let later = world.now().saturating_add(Duration::from_secs(5));
    let task = world.task_with("told", 0, Some(later)).await;
    let change = tasklane_service::FunctionChange { options: publishing([]), ..Default::default() };
    world.service.update_function("told", change).await.unwrap();
    let quiet = world.task("told").await;
    assert_eq!(more_than(&world, task.id, 0).await, [TaskCompleted]);
    assert_eq!(world.finished(quiet.id).await.status, TaskStatus::Complete);
    assert!(published(&world, quiet.id).is_empty());
}
