//! A write succeeds but its response is lost: the SDK repeats the write, and must not be told that another process was
//! faster. The same holds if the SDK gives up and the caller repeats the write.

use std::time::Duration;

use tasklane::{
    model::TaskStatus,
    store::{CancelOutcome, QueueLane, RunnerId, SlotPart, SlotScope, StoreError},
};

use super::{World, again, boom, function, records};

/// The SDK makes three attempts in total.
const GIVES_UP: usize = 3;

#[tokio::test]
async fn a_claim_succeeds_even_if_its_response_is_lost() {
    let world = World::new().await;
    world.create(&world.task()).await;
    let (candidate, run) = (world.candidates().await.remove(0), world.run());
    world.wire.lose_answers("UpdateItem", 1);
    let claimed = world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap();
    assert_eq!(claimed.unwrap().run, Some(run));
    assert_eq!(world.wire.calls("UpdateItem"), 2);
}

#[tokio::test]
async fn a_claim_that_gave_up_can_be_repeated_only_by_the_same_run() {
    let world = World::new().await;
    world.create(&world.task()).await;
    let (candidate, run) = (world.candidates().await.remove(0), world.run());
    world.wire.lose_answers("UpdateItem", GIVES_UP);
    let error = world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert_eq!(world.store.tasks.claim(&candidate, &world.run(), world.now()).await.unwrap(), None);
    assert!(world.store.tasks.claim(&candidate, &run, world.now()).await.unwrap().is_some());
}

#[tokio::test]
async fn outcomes_succeed_even_if_their_responses_are_lost() {
    let world = World::new().await;
    let tasks = &world.store.tasks;

    let (id, run) = world.running().await;
    world.wire.lose_answers("UpdateItem", 1);
    assert!(tasks.complete(id, &run.attempt, None, world.now()).await.unwrap());

    let (id, run) = world.running().await;
    world.wire.lose_answers("UpdateItem", 1);
    assert!(tasks.fail(id, &run.attempt, &boom(), None, world.now()).await.unwrap());

    let (id, run) = world.running().await;
    let next = world.task();
    world.wire.lose_answers("TransactWriteItems", 1);
    assert!(tasks.retry(id, &run.attempt, &boom(), None, again(&next), world.now()).await.unwrap());
    assert_eq!(world.get(id).await.task.retried_by_task_id, Some(next.id));
}

#[tokio::test]
async fn a_retry_that_gave_up_is_finished_by_the_callers_own_second_try() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let (id, run) = world.running().await;
    let next = world.task();
    world.wire.lose_answers("TransactWriteItems", GIVES_UP);
    tasks.retry(id, &run.attempt, &boom(), None, again(&next), world.now()).await.unwrap_err();
    world.clock.advance(Duration::from_secs(1));
    assert!(tasks.retry(id, &run.attempt, &boom(), None, again(&next), world.now()).await.unwrap());
    // Not with another Task, because the first one exists.
    let other = world.task();
    assert!(!tasks.retry(id, &run.attempt, &boom(), None, again(&other), world.now()).await.unwrap());
    assert_eq!(tasks.get(other.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_failure_written_by_the_ticker_is_not_mistaken_for_the_runs_own() {
    let world = World::new().await;
    let tasks = &world.store.tasks;
    let (id, run) = world.running().await;
    let mut zombie = boom();
    zombie.name = tasklane::model::task::ZOMBIE_ERROR_NAME.to_owned();
    assert!(tasks.fail(id, &run.attempt, &zombie, None, world.now()).await.unwrap());
    assert!(!tasks.fail(id, &run.attempt, &boom(), None, world.now()).await.unwrap());
    assert_eq!(world.get(id).await.task.error, Some(zombie));
}

#[tokio::test]
async fn a_creation_succeeds_even_if_its_response_is_lost() {
    let world = World::new().await;
    let id = world.create(&world.task()).await;
    world.wire.lose_answers("PutItem", 1);
    let task = world.task();
    world.create(&task).await;
    assert_eq!(world.heads().await, [id, task.id]);

    let mut direct = world.task();
    direct.status = TaskStatus::InProgress;
    world.wire.lose_answers("PutItem", 1);
    let run = world.run();
    assert!(world.store.tasks.create_running(&direct, &run).await.unwrap());
    world.wire.lose_answers("DeleteItem", 1);
    world.store.tasks.withdraw(direct.id, &run.attempt).await.unwrap();
    assert!(world.store.tasks.get(direct.id).await.unwrap().is_none());

    world.wire.lose_answers("PutItem", 1);
    assert!(world.store.functions.create(&records::a_function(&world, "f")).await.unwrap());
    world.wire.lose_answers("PutItem", 1);
    world.store.schedules.create(&records::schedule(&world)).await.unwrap();
    world.wire.lose_answers("TransactWriteItems", 1);
    world.store.credentials.put(&records::credential(&world, "a")).await.unwrap();
    world.wire.lose_answers("PutItem", 1);
    world.store.api_requests.put(&records::api_request(&world, "f")).await.unwrap();
}

#[tokio::test]
async fn the_first_task_of_a_day_is_found_even_if_the_response_to_the_day_is_lost() {
    let world = World::new().await;
    world.wire.lose_answers("PutItem", 1);
    let id = world.create(&world.task()).await;
    assert!(world.store.tasks.get(id).await.unwrap().is_some());
    assert!(world.another_store(|_| {}).tasks.get(id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_cancellation_succeeds_once_even_if_its_response_is_lost() {
    let world = World::new().await;
    let id = world.create(&world.task()).await;
    world.wire.lose_answers("UpdateItem", 1);
    assert!(matches!(world.store.tasks.cancel(id, world.now()).await.unwrap(), CancelOutcome::Canceled(_)));
    let again = world.store.tasks.cancel(id, world.now()).await.unwrap();
    assert_eq!(again, CancelOutcome::NotNew(TaskStatus::Canceled));
}

#[tokio::test]
async fn changes_of_functions_succeed_even_if_their_responses_are_lost() {
    let world = World::new().await;
    let functions = &world.store.functions;
    let mut f = records::a_function(&world, "f");
    functions.create(&f).await.unwrap();
    let read = functions.get(&f.name).await.unwrap().unwrap();
    f.enabled = false;
    world.wire.lose_answers("PutItem", 1);
    assert!(functions.update(&f, read.revision).await.unwrap());
    assert!(!functions.update(&f, read.revision).await.unwrap());
    world.wire.lose_answers("TransactWriteItems", 1);
    assert!(functions.delete(&f.name).await.unwrap());
    assert!(!functions.delete(&f.name).await.unwrap());
}

#[tokio::test]
async fn changes_of_schedules_succeed_even_if_their_responses_are_lost() {
    let world = World::new().await;
    let schedules = &world.store.schedules;
    let schedule = records::schedule(&world);
    schedules.create(&schedule).await.unwrap();
    let next = schedule.occurrence_after(world.now()).unwrap();
    let task = world.task();
    world.wire.lose_answers("TransactWriteItems", 1);
    assert!(records::materialise(&world, &schedule, next, &task).await);
    // The caller's second attempt, a little later.
    world.clock.advance(Duration::from_millis(1));
    assert!(records::materialise(&world, &schedule, next, &task).await);
    assert_eq!(world.heads().await, [task.id]);

    let moved = schedules.get(schedule.id).await.unwrap().unwrap();
    world.clock.advance(Duration::from_secs(3600));
    let next = moved.occurrence_after(world.now()).unwrap();
    world.wire.lose_answers("UpdateItem", 1);
    assert!(schedules.pass(&records::as_read(&moved), &records::to(next), world.now()).await.unwrap());
    assert!(!schedules.pass(&records::as_read(&moved), &records::to(next), world.now()).await.unwrap());
    world.wire.lose_answers("TransactWriteItems", 1);
    assert!(schedules.delete(schedule.id).await.unwrap());
    assert!(!schedules.delete(schedule.id).await.unwrap());
}

#[tokio::test]
async fn a_revocation_succeeds_once_even_if_its_response_is_lost() {
    let world = World::new().await;
    let credential = records::credential(&world, "a");
    world.store.credentials.put(&credential).await.unwrap();
    world.wire.lose_answers("TransactWriteItems", 1);
    assert!(world.store.credentials.revoke(credential.id).await.unwrap());
    assert!(!world.store.credentials.revoke(credential.id).await.unwrap());
}

#[tokio::test]
async fn moves_within_the_queue_succeed_even_if_their_responses_are_lost() {
    let world = World::new().await;
    let id = world.create(&world.task()).await;
    let candidate = world.candidates().await.remove(0);
    world.wire.lose_answers("UpdateItem", 1);
    assert!(world.store.tasks.move_to_own_lane(&candidate).await.unwrap());
    let own = world.store.tasks.heads(&[QueueLane::Own(function("f"))], 10).await.unwrap();
    assert_eq!(own[0].id, id);
}

#[tokio::test]
async fn slots_are_taken_once_even_if_the_response_is_lost() {
    let world = World::new().await;
    let (slots, now) = (&world.store.slots, world.now());
    let until = now.saturating_add(Duration::from_secs(60));
    world.wire.lose_answers("PutItem", 1);
    let main = SlotPart::main(SlotScope::Tasks);
    assert_eq!(slots.lease(&main, &RunnerId::new("a"), 0..=3, 5, until, now).await.unwrap().slots, 3);
    assert_eq!(slots.held(&SlotScope::Tasks, now).await.unwrap(), 3);
}

#[tokio::test]
async fn a_shift_drains_even_if_the_response_is_lost() {
    let world = World::new().await;
    let (shifts, now) = (&world.store.shifts, world.now());
    let until = now.saturating_add(Duration::from_secs(900));
    for (holder, second) in [("a", 0), ("b", 1)] {
        let began = now.saturating_add(Duration::from_secs(second));
        shifts.enter(&RunnerId::new(holder), began, until, now).await.unwrap();
    }
    world.wire.lose_answers("PutItem", 1);
    assert!(shifts.may_drain(&RunnerId::new("a"), now).await.unwrap());
}

#[tokio::test]
async fn a_nonce_is_new_even_if_the_response_is_lost() {
    let world = World::new().await;
    let until = world.now().saturating_add(Duration::from_secs(60));
    world.wire.lose_answers("PutItem", 1);
    assert!(world.store.nonces.remember("key", "nonce", 1, until).await.unwrap());
    assert!(!world.store.nonces.remember("key", "nonce", 1, until).await.unwrap());
}
