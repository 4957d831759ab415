//! One Task from its creation to its end.

use std::time::Duration;

use tasklane::{
    model::{Json, Lane, Priority, Tags, TaskOrigin, TaskStatus, UserId},
    store::{CancelOutcome, QueueLane},
};

use super::{World, again, boom, function, run_of};

#[tokio::test]
async fn a_task_is_read_back_as_it_was_written_to_the_last_byte() {
    let world = World::new().await;
    let mut task = world.task();
    task.data = Some(
        Json::parse(r#"{ "z": 1.0, "a": "é\u0000\n", "big": 123456789012345678901234567890, "z": 1e999 }"#.to_owned())
            .unwrap(),
    );
    task.tags = Tags::try_from(vec!["b".to_owned(), "a".to_owned(), "b".to_owned()]).unwrap();
    task.priority = Priority::MIN;
    task.origin =
        TaskOrigin { created_by_user_id: Some(UserId::parse("ada").unwrap()), created_by_application_id: None };
    task.retry_for_task_ids = vec![world.id(), world.id()];
    world.create(&task).await;
    let record = world.get(task.id).await;
    assert_eq!(record.task, task);
    assert_eq!((record.queue, record.run, record.request_id), (Lane::Shared, None, None));
}

#[tokio::test]
async fn the_largest_data_is_stored_and_lives_a_whole_life() {
    let world = World::new().await;
    let mut task = world.task();
    task.data = Some(Json::parse(format!("\"{}\"", "x".repeat(tasklane::model::task::MAX_DATA_BYTES - 2))).unwrap());
    world.create(&task).await;
    let (candidate, run) = (world.candidates().await.remove(0), world.run());
    let claimed = world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
    assert_eq!(claimed.task.data, task.data);
    let mut next = world.task();
    next.data = task.data.clone();
    let tasks = &world.store.tasks;
    assert!(tasks.retry(task.id, &run.attempt, &boom(), None, again(&next), world.now()).await.unwrap());
    assert_eq!(world.get(next.id).await.task.data, task.data);
}

#[tokio::test]
async fn a_record_that_dynamodb_refuses_has_an_error_that_names_it() {
    let world = World::new().await;
    let mut task = world.task();
    task.data = Some(Json::parse(format!("\"{}\"", "x".repeat(410_000))).unwrap());
    let error = world.store.tasks.create(&task, Lane::Shared, world.now()).await.unwrap_err();
    assert!(matches!(error, tasklane::store::StoreError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn an_unknown_task_is_not_found() {
    let world = World::new().await;
    assert_eq!(world.store.tasks.get(world.id()).await.unwrap(), None);
    world.create(&world.task()).await;
    assert_eq!(world.store.tasks.get(world.id()).await.unwrap(), None);
}

#[tokio::test]
async fn a_claim_writes_who_runs_it_and_the_outcome_ends_it() {
    let world = World::new().await;
    let (id, run) = world.running().await;
    let record = world.get(id).await;
    assert_eq!(record.task.status, TaskStatus::InProgress);
    assert_eq!(record.run.as_ref(), Some(&run));
    assert_eq!(world.heads().await, []);

    world.clock.advance(Duration::from_secs(1));
    assert!(world.store.tasks.complete(id, &run.attempt, Some("request-1"), world.now()).await.unwrap());
    let record = world.get(id).await;
    assert_eq!(record.task.status, TaskStatus::Complete);
    assert_eq!(record.task.status_changed_timestamp, world.now());
    assert_eq!(record.task.update_timestamp, world.now());
    assert_eq!(record.request_id.as_deref(), Some("request-1"));
    assert_eq!(world.store.tasks.runs_of(&run.runner).await.unwrap(), []);
}

#[tokio::test]
async fn of_two_tickers_that_end_a_run_in_the_same_way_one_has_ended_it() {
    let world = World::new().await;
    let (id, run) = world.running().await;
    let first = world.now();
    assert!(world.store.tasks.fail(id, &run.attempt, &boom(), None, first).await.unwrap());
    // The first one, again: its response was lost.
    assert!(world.store.tasks.fail(id, &run.attempt, &boom(), None, first).await.unwrap());
    world.clock.advance(Duration::from_millis(1));
    assert!(!world.store.tasks.fail(id, &run.attempt, &boom(), None, world.now()).await.unwrap());
    assert_eq!(world.get(id).await.task.status_changed_timestamp, first);
}

#[tokio::test]
async fn no_final_state_changes_and_no_other_attempt_ends_a_run() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let other = run_of(world.now(), "other").attempt;
    let (id, run) = world.running().await;
    let next = world.task();
    assert!(!tasks.complete(id, &other, None, world.now()).await.unwrap());
    assert!(!tasks.fail(id, &other, &boom(), None, world.now()).await.unwrap());
    assert!(!tasks.retry(id, &other, &boom(), None, again(&next), world.now()).await.unwrap());
    assert_eq!(world.status(id).await, TaskStatus::InProgress);
    assert_eq!(tasks.get(next.id).await.unwrap(), None);

    assert!(tasks.complete(id, &run.attempt, None, world.now()).await.unwrap());
    assert!(!tasks.fail(id, &run.attempt, &boom(), None, world.now()).await.unwrap());
    assert!(!tasks.retry(id, &run.attempt, &boom(), None, again(&next), world.now()).await.unwrap());
    assert_eq!(tasks.cancel(id, world.now()).await.unwrap(), CancelOutcome::NotNew(TaskStatus::Complete));
    assert_eq!(world.status(id).await, TaskStatus::Complete);
    assert_eq!(tasks.get(next.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_failure_stays_in_its_lane_only_until_its_event_is_published() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let (id, run) = world.running().await;
    assert!(tasks.fail(id, &run.attempt, &boom(), Some("request-1"), world.now()).await.unwrap());
    let waiting = tasks.unpublished(10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].task.id, waiting[0].task.error.clone()), (id, Some(boom())));
    // Repeating it changes nothing.
    tasks.mark_published(id).await.unwrap();
    tasks.mark_published(id).await.unwrap();
    assert_eq!(tasks.unpublished(10).await.unwrap(), []);
    assert_eq!(world.status(id).await, TaskStatus::Failed);
    // A Task that never failed has no event.
    tasks.mark_published(world.id()).await.unwrap();
    let (running, _) = world.running().await;
    tasks.mark_published(running).await.unwrap();
    assert_eq!(tasks.runs_of(&world.run().runner).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_retry_changes_both_records_together() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let (id, run) = world.running().await;
    let mut next = world.task();
    next.retry_for_task_ids = vec![id];
    next.start_timestamp = world.now().saturating_add(Duration::from_secs(2));
    assert!(tasks.retry(id, &run.attempt, &boom(), None, again(&next), world.now()).await.unwrap());
    let record = world.get(id).await.task;
    assert_eq!(
        (record.status, record.retried_by_task_id, record.error),
        (TaskStatus::Retried, Some(next.id), Some(boom()))
    );
    assert_eq!(world.get(next.id).await.task, next);
    assert_eq!(world.heads().await, []);
    assert_eq!(tasks.earliest_waiting().await.unwrap(), Some(next.start_timestamp));
    // A failed Task has an event; a retried one does not.
    assert_eq!(tasks.unpublished(10).await.unwrap(), []);
}

#[tokio::test]
async fn only_a_new_task_is_canceled() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let id = world.create(&world.task()).await;
    assert!(matches!(tasks.cancel(id, world.now()).await.unwrap(), CancelOutcome::Canceled(_)));
    assert_eq!(tasks.cancel(id, world.now()).await.unwrap(), CancelOutcome::NotNew(TaskStatus::Canceled));
    assert_eq!(world.heads().await, []);
    let (id, _) = world.running().await;
    assert_eq!(tasks.cancel(id, world.now()).await.unwrap(), CancelOutcome::NotNew(TaskStatus::InProgress));
    assert_eq!(tasks.cancel(world.id(), world.now()).await.unwrap(), CancelOutcome::Unknown);
}

#[tokio::test]
async fn a_direct_execution_is_never_in_the_queue() {
    let world = World::new().await;
    let mut task = world.task();
    task.status = TaskStatus::InProgress;
    let run = world.run();
    assert!(world.store.tasks.create_running(&task, &run).await.unwrap());
    assert!(world.store.tasks.create_running(&task, &run).await.unwrap());
    assert_eq!(world.heads().await, []);
    let own = QueueLane::Own(function("f"));
    assert_eq!(world.store.tasks.heads(&[own], 10).await.unwrap(), []);
    assert_eq!(world.get(task.id).await.run, Some(run.clone()));
    assert!(world.store.tasks.complete(task.id, &run.attempt, None, world.now()).await.unwrap());
}

#[tokio::test]
async fn a_direct_execution_can_be_withdrawn_only_by_its_attempt_while_it_runs() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let mut task = world.task();
    task.status = TaskStatus::InProgress;
    let (run, other) = (world.run(), world.run());
    assert!(tasks.create_running(&task, &run).await.unwrap());
    tasks.withdraw(task.id, &other.attempt).await.unwrap();
    assert_eq!(world.get(task.id).await.run, Some(run.clone()));
    tasks.withdraw(task.id, &run.attempt).await.unwrap();
    assert!(tasks.get(task.id).await.unwrap().is_none());
    tasks.withdraw(task.id, &run.attempt).await.unwrap();

    let (id, run) = world.running().await;
    assert!(tasks.complete(id, &run.attempt, None, world.now()).await.unwrap());
    tasks.withdraw(id, &run.attempt).await.unwrap();
    assert_eq!(world.get(id).await.task.status, TaskStatus::Complete);
}

#[tokio::test]
async fn runs_are_found_by_their_runner_and_by_the_end_of_their_lease() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let mut ids = Vec::new();
    for (runner, lease) in [("a", 30), ("b", 10), ("a", 20)] {
        let id = world.create(&world.task()).await;
        let mut run = run_of(world.now(), runner);
        run.lease_expires = world.now().saturating_add(Duration::from_secs(lease));
        let candidate = world.candidates().await.remove(0);
        tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
        ids.push(id);
    }
    let of = |records: Vec<tasklane::store::TaskRecord>| records.iter().map(|r| r.task.id).collect::<Vec<_>>();
    let a = tasklane::store::RunnerId::new("a");
    assert_eq!(of(tasks.runs_of(&a).await.unwrap()), [ids[0], ids[2]]);
    assert_eq!(of(tasks.expired_runs(world.now(), 10).await.unwrap()), []);
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(of(tasks.expired_runs(world.now(), 10).await.unwrap()), [ids[1], ids[2]]);
    assert_eq!(of(tasks.expired_runs(world.now(), 1).await.unwrap()), [ids[1]]);
}

#[tokio::test]
async fn an_outcome_with_a_huge_error_can_be_written() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let mut error = boom();
    error.message = "é".repeat(1_000_000);
    let mut task = world.task();
    task.data = Some(Json::parse(format!("\"{}\"", "x".repeat(tasklane::model::task::MAX_DATA_BYTES - 2))).unwrap());
    task.tags = Tags::try_from(vec!["€".repeat(256); 50]).unwrap();
    world.create(&task).await;
    let (candidate, run) = (world.candidates().await.remove(0), world.run());
    tasks.claim(&candidate, &run, world.now()).await.unwrap().unwrap();
    world.wire.lose_answers("UpdateItem", 1);
    assert!(tasks.fail(task.id, &run.attempt, &error, None, world.now()).await.unwrap());
    let written = world.get(task.id).await.task.error.unwrap();
    assert_eq!(written.name, "Boom");
    assert!(written.message.len() <= 32 * 1024 && written.message.starts_with("éé"));

    let mut request = super::records::api_request(&world, "f");
    request.error.as_mut().unwrap().message = error.message;
    world.store.api_requests.put(&request).await.unwrap();
}
