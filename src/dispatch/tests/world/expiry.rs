//! Tasks that may not wait for ever (contract §13).

use std::time::Duration;

use tasklane_model::{
    Caller, FunctionName, NewTask, QueuedTimeout, RetryPolicyChange, Tags, Task, TaskErrorKind, TaskOptions,
    TaskStatus, Timeouts, Timestamp,
};
use tasklane_service::FunctionOptions;
use tasklane_testing::World;

fn queued(seconds: i64) -> Timeouts {
    Timeouts { queued: Some(QueuedTimeout::new(seconds).unwrap()) }
}

/// A Function whose Tasks may wait this long, and that retries every error.
fn waiting(seconds: i64) -> FunctionOptions {
    FunctionOptions {
        queued_timeout: Some(queued(seconds).queued),
        retry_policy: Some(RetryPolicyChange::every_error()),
        ..FunctionOptions::default()
    }
}

async fn create(world: &World, function: &str, timeouts: Timeouts, start: Option<Timestamp>) -> Task {
    let new = NewTask {
        function_name: FunctionName::parse(function).unwrap(),
        data: None,
        start_timestamp: start,
        priority: None,
        tags: Tags::default(),
        options: TaskOptions { timeouts, ..TaskOptions::default() },
    };
    world.service.create_task(&Caller::Nobody, new).await.unwrap()
}

/// The Task expired within a second after its time, was never invoked, and was published once.
async fn assert_expired(world: &World, id: tasklane_model::ObjectId) {
    let task = world.finished(id).await;
    let error = task.error.clone().unwrap();
    assert_eq!(
        (task.status, error.kind, error.name.as_str()),
        (TaskStatus::Failed, TaskErrorKind::Invocation, "taskExpired")
    );
    assert_eq!(task.retried_by_task_id, None);
    let not_after = task.not_after().unwrap();
    let failed = task.status_changed_timestamp;
    assert!(failed >= not_after && failed.since(not_after) <= Duration::from_secs(1), "{failed} for {not_after}");
    assert!(world.lambda.calls().iter().all(|call| call.correlation != id), "it was invoked");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let events = world.events.published();
    assert_eq!(events.iter().filter(|event| event.content.id == id).count(), 1);
    assert!(world.store.tasks.expiring(world.now(), 100).await.unwrap().is_empty(), "a companion is left");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_too_long_for_a_slot_expires_and_is_not_retried() {
    let world = World::running(1).await;
    world.function("slow", waiting(3600)).await;
    world.lambda.take("slow", Duration::from_secs(25));
    let running = world.task("slow").await;
    world.when(running.id, |status| status == TaskStatus::InProgress).await;
    let waits = create(&world, "slow", queued(5), None).await;
    assert_eq!(waits.options.timeouts, queued(5));
    assert_expired(&world, waits.id).await;
    // A run is not ended by the time that it may wait.
    assert_eq!(world.finished(running.id).await.status, TaskStatus::Complete);
}

#[tokio::test(start_paused = true)]
async fn the_task_of_a_disabled_function_expires_counted_from_its_start() {
    let world = World::running(1).await;
    world.function("off", waiting(30)).await;
    world.service.set_function_enabled("off", false).await.unwrap();
    let later = world.now().saturating_add(Duration::from_secs(100));
    let task = create(&world, "off", Timeouts::default(), Some(later)).await;
    assert_eq!(task.options.timeouts, queued(30));
    assert_expired(&world, task.id).await;
    assert!(world.now() >= later);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_starts_in_time_does_not_expire_and_its_retry_has_a_time_of_its_own() {
    let world = World::running(1).await;
    world.function("flaky", waiting(3)).await;
    world.lambda.throw("flaky", "Oops");
    let first = create(&world, "flaky", Timeouts::default(), None).await;
    let mut last = world.finished(first.id).await;
    while let Some(next) = last.retried_by_task_id {
        last = world.finished(next).await;
        assert_eq!(last.options.timeouts, queued(3));
    }
    assert_eq!((last.retry_for_task_ids.len(), last.error.unwrap().name.as_str()), (3, "Oops"));

    let again = create(&world, "flaky", Timeouts::default(), None).await;
    let retried = world.when(again.id, |status| status == TaskStatus::Retried).await;
    world.service.set_function_enabled("flaky", false).await.unwrap();
    assert_expired(&world, retried.retried_by_task_id.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_never_starts_an_expired_task_even_if_no_ticker_looked_at_it() {
    let world = World::at_rest(1).await;
    world.function("hello", FunctionOptions::default()).await;
    let expired = create(&world, "hello", queued(5), None).await;
    let fine = create(&world, "hello", queued(6), None).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.dispatcher.claim_all(&world.woken).await.unwrap();
    world.dispatcher.drain().await;
    let task = world.get(expired.id).await;
    assert_eq!((task.status, task.error.unwrap().name.as_str()), (TaskStatus::Failed, "taskExpired"));
    assert_eq!(world.get(fine.id).await.status, TaskStatus::Complete);
    assert_eq!(world.lambda.calls().len(), 1);
    assert_eq!(world.events.published().len(), 1);
    world.ticker.tick().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.ticker.tick().await.unwrap();
    assert!(world.store.tasks.expiring(world.now(), 100).await.unwrap().is_empty());
    assert_eq!(world.events.published().len(), 1, "it was published twice");
}

#[tokio::test(start_paused = true)]
async fn a_canceled_task_does_not_expire() {
    let world = World::running(1).await;
    world.function("off", waiting(5)).await;
    world.service.set_function_enabled("off", false).await.unwrap();
    let task = create(&world, "off", Timeouts::default(), None).await;
    world.service.cancel_task(task.id).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.get(task.id).await.status, TaskStatus::Canceled);
    assert!(world.store.tasks.expiring(world.now(), 100).await.unwrap().is_empty());
    assert!(world.events.published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_tasks_of_a_schedule_may_wait_as_long_as_its_function_says() {
    let world = World::running(1).await;
    world.function("ticks", waiting(20)).await;
    world.lambda.take("ticks", Duration::from_secs(1));
    world.schedule("ticks", 3600, None).await;
    let running = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if let Some(task) = world.lambda.calls().first() {
            break world.get(task.correlation).await;
        }
    };
    assert_eq!(running.options.timeouts, queued(20));
}
