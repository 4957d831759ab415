//! Tests of the contract's promises about Tasks (§4), on a clock that jumps.

// An error in a test's helper fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bulk;
mod clock;
mod events;
mod expiry;
mod flow;
mod schedules;
mod shift;
mod slots;
mod ticker;

use std::time::Duration;

use tasklane_dispatch::{Claimed, Ended, LONGEST_DRAIN, Runner, Shift, new_run, work_shift};
use tasklane_model::{
    Caller, ConcurrencyLimit, ErrorKind, ErrorNames, Identity, ObjectId, Permissions, RetryPolicyChange, Task,
    TaskErrorKind, TaskStatus, TimeLimit, Timestamp, UserId,
};
use tasklane_ports::InvokeError;
use tasklane_service::{FunctionChange, FunctionOptions};
use tasklane_store::RunnerId;
use tasklane_testing::{TestLambda, World};
use tokio::sync::Notify;

fn retrying(errors: &[&str]) -> FunctionOptions {
    let errors_to_retry = errors.iter().map(ToString::to_string).collect();
    let policy = RetryPolicyChange { errors_to_retry, ..RetryPolicyChange::every_error() };
    FunctionOptions { retry_policy: Some(policy), ..FunctionOptions::default() }
}

fn limited(limit: i64) -> FunctionOptions {
    FunctionOptions {
        concurrency_limit: Some(Some(ConcurrencyLimit::new(limit).unwrap())),
        ..FunctionOptions::default()
    }
}

/// A user who may do everything.
fn bob() -> Caller {
    let user_id = UserId::parse("bob").unwrap();
    Caller::User(Identity { user_id, application_id: None, permissions: Permissions::all() }.into())
}

fn order(world: &World) -> Vec<ObjectId> {
    world.lambda.calls().iter().map(|call| call.correlation).collect()
}

#[tokio::test(start_paused = true)]
async fn a_due_task_runs_once_with_itself_as_the_event() {
    let world = World::running(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let task = world.task("hello").await;
    let done = world.finished(task.id).await;
    assert_eq!(done.status, TaskStatus::Complete);
    let calls = world.lambda.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].event["id"], task.id.to_string());
    assert_eq!(calls[0].event["status"], "inProgress");
    assert_eq!(calls[0].event["data"], serde_json::json!({ "n": 1 }));
}

#[tokio::test(start_paused = true)]
async fn priority_precedes_time_and_time_precedes_id() {
    let world = World::at_rest(1).await;
    world.function("hello", FunctionOptions::default()).await;
    let earlier = world.now().saturating_sub(Duration::from_secs(60));
    let third = world.task_with("hello", 0, None).await;
    let fourth = world.task_with("hello", 0, None).await;
    let second = world.task_with("hello", 0, Some(earlier)).await;
    let last = world.task_with("hello", -9_007_199_254_740_991, Some(earlier)).await;
    let first = world.task_with("hello", 9_007_199_254_740_991, None).await;
    world.start();
    world.finished(last.id).await;
    assert_eq!(order(&world), [first.id, second.id, third.id, fourth.id, last.id]);
}

#[tokio::test(start_paused = true)]
async fn a_task_waits_for_its_time_and_then_starts_immediately() {
    let world = World::running(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let start = world.now().saturating_add(Duration::from_secs(1200));
    let task = world.task_with("hello", 0, Some(start)).await;
    world.finished(task.id).await;
    let at = world.lambda.calls()[0].at;
    assert!(at >= start && at.since(start) < Duration::from_millis(50), "{at} for {start}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_task_is_retried_after_2_5_and_10_seconds_and_then_fails_once() {
    let world = World::running(5).await;
    world.function("flaky", retrying(&[])).await;
    world.lambda.throw("flaky", "Oops");
    let mut chain = vec![world.task("flaky").await.id];
    loop {
        let task = world.finished(*chain.last().unwrap()).await;
        assert_eq!(task.retry_for_task_ids, chain[..chain.len() - 1]);
        assert_eq!(task.error.as_ref().unwrap().name, "Oops");
        match task.retried_by_task_id {
            Some(next) => {
                assert_eq!(task.status, TaskStatus::Retried);
                chain.push(next);
            }
            None => {
                assert_eq!(task.status, TaskStatus::Failed);
                break;
            }
        }
    }
    assert_eq!(chain.len(), 4);
    let starts: Vec<Timestamp> = world.lambda.calls().iter().map(|call| call.at).collect();
    for (pair, seconds) in starts.windows(2).zip([2, 5, 10]) {
        let waited = pair[1].since(pair[0]);
        let wanted = Duration::from_secs(seconds);
        assert!(waited >= wanted && waited < wanted + Duration::from_millis(100), "{waited:?} for {wanted:?}");
    }
    let events = world.events.published();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].content.id, events[0].content.error.as_ref().unwrap().name.as_str()), (chain[3], "Oops"));
    assert_eq!(order(&world), chain);
}

/// The whole chain of a Task, once it has ended.
async fn chain_of(world: &World, first: ObjectId) -> Vec<Task> {
    let mut chain = vec![world.finished(first).await];
    while let Some(next) = chain[chain.len() - 1].retried_by_task_id {
        chain.push(world.finished(next).await);
    }
    chain
}

#[tokio::test(start_paused = true)]
async fn a_strategy_determines_how_often_and_when_a_task_is_retried() {
    let world = World::running(5).await;
    let strategy = r#"{"maxRetries": 5, "baseSeconds": 3, "maxSeconds": 20, "jitter": false}"#;
    let policy = RetryPolicyChange {
        strategy: Some(serde_json::from_str(strategy).unwrap()),
        ..RetryPolicyChange::every_error()
    };
    world.function("flaky", FunctionOptions { retry_policy: Some(policy), ..FunctionOptions::default() }).await;
    world.lambda.throw("flaky", "Oops");
    let chain = chain_of(&world, world.task("flaky").await.id).await;
    assert_eq!(chain.len(), 6);
    assert_eq!(chain[5].status, TaskStatus::Failed);
    for (pair, seconds) in chain.windows(2).zip([3, 6, 12, 20, 20]) {
        let delay = pair[1].start_timestamp.since(pair[0].status_changed_timestamp);
        assert_eq!(delay, Duration::from_secs(seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn jitter_spreads_the_retries_of_tasks_that_failed_together() {
    let world = World::running(20).await;
    let strategy = r#"{"maxRetries": 1, "baseSeconds": 60}"#;
    let policy = RetryPolicyChange {
        strategy: Some(serde_json::from_str(strategy).unwrap()),
        ..RetryPolicyChange::every_error()
    };
    world.function("flaky", FunctionOptions { retry_policy: Some(policy), ..FunctionOptions::default() }).await;
    world.lambda.throw("flaky", "Oops");
    let mut delays = Vec::new();
    for _ in 0..20 {
        let first = world.task("flaky").await;
        let chain = chain_of(&world, first.id).await;
        assert_eq!(chain.len(), 2);
        delays.push(chain[1].start_timestamp.since(chain[0].status_changed_timestamp));
    }
    let (shortest, longest) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert!(*shortest >= Duration::from_secs(30) && *longest <= Duration::from_secs(60), "{delays:?}");
    assert!(longest > shortest, "{delays:?}");
}

#[tokio::test(start_paused = true)]
async fn an_excluded_error_is_not_retried_even_if_it_is_also_named_to_be_retried() {
    let world = World::running(5).await;
    let never = ErrorNames::try_from(vec!["INVALID".to_owned()]).unwrap();
    let policy = RetryPolicyChange { errors_not_to_retry: Some(Some(never)), ..RetryPolicyChange::every_error() };
    for (name, errors_to_retry) in [("every", vec![]), ("named", vec!["INVALID".to_owned()])] {
        let policy = RetryPolicyChange { errors_to_retry, ..policy.clone() };
        world.function(name, FunctionOptions { retry_policy: Some(policy), ..FunctionOptions::default() }).await;
        world.lambda.throw(name, "INVALID");
        let chain = chain_of(&world, world.task(name).await.id).await;
        assert_eq!((chain.len(), chain[0].status), (1, TaskStatus::Failed), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_outside_of_the_retry_policy_fails_immediately() {
    let world = World::running(5).await;
    world.function("picky", retrying(&["CONNECTION_ERROR"])).await;
    world.lambda.throw("picky", "Oops");
    let task = world.task("picky").await;
    let task = world.finished(task.id).await;
    assert_eq!((task.status, task.retried_by_task_id), (TaskStatus::Failed, None));
    assert_eq!(task.error.unwrap().kind, TaskErrorKind::Runtime);
}

#[tokio::test(start_paused = true)]
async fn no_more_tasks_run_at_once_than_the_limit_allows() {
    let world = World::running(3).await;
    world.function("slow", FunctionOptions::default()).await;
    world.lambda.take("slow", Duration::from_secs(5));
    let mut tasks = Vec::new();
    for _ in 0..10 {
        tasks.push(world.task("slow").await);
    }
    for task in &tasks {
        world.finished(task.id).await;
    }
    assert_eq!(world.lambda.most_running(), 3);
}

#[tokio::test(start_paused = true)]
async fn two_processes_together_keep_to_one_limit() {
    let world = World::running(3).await;
    let other = world.beside(3, "other");
    world.function("slow", FunctionOptions::default()).await;
    world.lambda.take("slow", Duration::from_secs(5));
    other.lambda.take("slow", Duration::from_secs(5));
    other.start();
    let mut tasks = Vec::new();
    for _ in 0..12 {
        tasks.push(world.task("slow").await);
        other.woken.notify_one();
    }
    for task in &tasks {
        let mut task = world.get(task.id).await;
        while !task.status.is_final() {
            other.woken.notify_one();
            let running = world.store.slots.held(&tasklane_store::SlotScope::Tasks, world.now()).await.unwrap();
            assert!(running <= 3, "{running} slots are leased");
            tokio::time::sleep(Duration::from_millis(100)).await;
            task = world.get(task.id).await;
        }
        assert_eq!(task.status, TaskStatus::Complete);
    }
    let calls = world.lambda.calls().len() + other.lambda.calls().len();
    assert_eq!(calls, 12, "each task ran once");
}

#[tokio::test(start_paused = true)]
async fn a_functions_own_limit_holds_without_delaying_others() {
    let world = World::running(5).await;
    world.function("narrow", limited(1)).await;
    world.function("wide", FunctionOptions::default()).await;
    world.lambda.take("narrow", Duration::from_secs(10));
    let mut narrow = Vec::new();
    for _ in 0..40 {
        narrow.push(world.task_with("narrow", 10, None).await);
    }
    let wide = world.task_with("wide", 0, None).await;
    let asked = world.now();
    world.finished(wide.id).await;
    assert!(world.now().since(asked) < Duration::from_secs(1), "it waited behind the narrow one");
    for task in &narrow[..3] {
        world.finished(task.id).await;
    }
    assert_eq!(world.lambda.most_running(), 2, "one narrow and one wide");
}

#[tokio::test(start_paused = true)]
async fn a_disabled_functions_tasks_wait_and_run_once_it_is_enabled() {
    let world = World::running(5).await;
    world.function("off", FunctionOptions::default()).await;
    world.function("on", FunctionOptions::default()).await;
    world.service.set_function_enabled("off", false).await.unwrap();
    let waiting = world.task_with("off", 10, None).await;
    let running = world.task_with("on", 0, None).await;
    world.finished(running.id).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(world.get(waiting.id).await.status, TaskStatus::New);
    world.service.set_function_enabled("off", true).await.unwrap();
    assert_eq!(world.finished(waiting.id).await.status, TaskStatus::Complete);
}

#[tokio::test(start_paused = true)]
async fn tasks_queued_before_their_function_was_disabled_block_no_others() {
    let world = World::at_rest(1).await;
    world.function("off", FunctionOptions::default()).await;
    world.function("on", FunctionOptions::default()).await;
    let mut waiting = Vec::new();
    for _ in 0..40 {
        waiting.push(world.task_with("off", 10, None).await);
    }
    let running = world.task_with("on", 0, None).await;
    world.service.set_function_enabled("off", false).await.unwrap();
    world.start();
    assert_eq!(world.finished(running.id).await.status, TaskStatus::Complete);
    assert_eq!(world.lambda.calls().len(), 1);
    world.service.set_function_enabled("off", true).await.unwrap();
    for task in waiting {
        assert_eq!(world.finished(task.id).await.status, TaskStatus::Complete);
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_of_a_deleted_function_fail_in_every_lane() {
    for own_lane in [false, true] {
        let world = World::at_rest(5).await;
        world.function("gone", if own_lane { limited(1) } else { FunctionOptions::default() }).await;
        let later = world.now().saturating_add(Duration::from_secs(600));
        let tasks = [world.task("gone").await, world.task_with("gone", 0, Some(later)).await];
        world.service.delete_function("gone").await.unwrap();
        world.start();
        for task in tasks {
            let task = world.finished(task.id).await;
            assert_eq!(task.status, TaskStatus::Failed);
            assert_eq!(task.error.unwrap().kind, TaskErrorKind::Invocation);
        }
        assert_eq!(world.lambda.calls().len(), 0);
        assert_eq!(world.events.published().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_outcome_is_unknown_becomes_a_zombie_in_time_and_never_runs_again() {
    let world = World::running(5).await;
    let options = FunctionOptions { time_limit: Some(TimeLimit::new(10).unwrap()), ..retrying(&[]) };
    world.function("lost", options).await;
    world.lambda.behave("lost", |_| async { Err(InvokeError::OutcomeUnknown("connection reset".to_owned())) });
    let task = world.task("lost").await;
    let started = world.now();
    let task = world.finished(task.id).await;
    assert_eq!(task.status, TaskStatus::Failed);
    assert_eq!(task.error.unwrap().name, "zombieTaskCleaned");
    let took = world.now().since(started);
    assert!(took <= Duration::from_secs(10 + 60), "{took:?}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((world.lambda.calls().len(), world.events.published().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_run_without_a_response_holds_its_slot_no_longer_than_its_lease() {
    let world = World::running(1).await;
    world.function("hello", FunctionOptions::default()).await;
    let ten_seconds = FunctionOptions { time_limit: Some(TimeLimit::new(10).unwrap()), ..FunctionOptions::default() };
    world.function("stuck", ten_seconds).await;
    world.lambda.behave("stuck", |_| std::future::pending());
    let stuck = world.task("stuck").await;
    world.when(stuck.id, |status| status == TaskStatus::InProgress).await;
    let next = world.task("hello").await;
    let asked = world.now();
    assert_eq!(world.finished(next.id).await.status, TaskStatus::Complete);
    let waited = world.now().since(asked);
    assert!((Duration::from_secs(39)..Duration::from_secs(45)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn the_tasks_of_a_dead_process_are_cleaned_up() {
    let world = World::at_rest(5).await;
    world.function("slow", FunctionOptions::default()).await;
    let dead = world.beside(5, "dead");
    dead.lambda.behave("slow", |_| std::future::pending());
    let task = world.task("slow").await;
    dead.start();
    world.when(task.id, |status| status == TaskStatus::InProgress).await;
    assert_eq!(world.ticker.bury(&RunnerId::new("somebody else")).await.unwrap(), 0);
    assert_eq!(world.ticker.bury(&RunnerId::new("dead")).await.unwrap(), 1);
    let task = world.get(task.id).await;
    assert_eq!((task.status, task.error.unwrap().name.as_str()), (TaskStatus::Failed, "zombieTaskCleaned"));
    assert_eq!(world.events.published().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_run_is_tried_again_because_it_never_ran() {
    let world = World::running(5).await;
    world.function("busy", FunctionOptions::default()).await;
    let tries = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = tries.clone();
    world.lambda.behave("busy", move |_| {
        let first = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 3;
        async move {
            if first { Err(InvokeError::Throttled("no capacity".to_owned())) } else { Ok(TestLambda::returned("{}")) }
        }
    });
    let task = world.task("busy").await;
    assert_eq!(world.finished(task.id).await.status, TaskStatus::Complete);
    assert_eq!(tries.load(std::sync::atomic::Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn an_unacknowledged_event_is_published_again_with_the_same_id() {
    let world = World::running(5).await;
    world.function("flaky", FunctionOptions::default()).await;
    world.lambda.throw("flaky", "Oops");
    world.events.refuse(2);
    let task = world.task("flaky").await;
    world.finished(task.id).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let events = world.events.published();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].id, task.id);
    // The same however late it is published.
    let failed = world.get(task.id).await.status_changed_timestamp;
    assert_eq!(events[0].creation_timestamp, failed.as_millis());
}

#[tokio::test(start_paused = true)]
async fn a_schedule_runs_at_each_occurrence_and_does_not_drift() {
    let world = World::running(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let schedule = world.schedule("hello", 60, None).await;
    tokio::time::sleep(Duration::from_secs(60 * 10 + 30)).await;
    let calls = world.lambda.calls();
    assert_eq!(calls.len(), 11);
    for (number, call) in calls.iter().enumerate() {
        let due = schedule.start_timestamp.saturating_add(Duration::from_secs(60 * number as u64));
        assert_eq!(call.event["startTimestamp"], due.to_string());
        assert_eq!(call.event["data"], "tick");
        assert!(call.at.since(due) < Duration::from_millis(50));
    }
}

#[tokio::test(start_paused = true)]
async fn an_occurrence_that_several_tickers_see_becomes_one_task() {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    world.schedule("hello", 60, None).await;
    let tickers: Vec<_> = (0..4).map(|n| world.beside(5, &format!("ticker-{n}"))).collect();
    for _ in 0..5 {
        let ticks = tickers.iter().map(|other| other.ticker.tick());
        for ticked in futures::future::join_all(ticks).await {
            ticked.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(world.all_tasks().await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn after_a_long_stop_a_schedule_catches_up_with_one_run_for_the_latest_occurrence() {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let schedule = world.schedule("hello", 60, None).await;
    tokio::time::sleep(Duration::from_secs(24 * 3600 + 30)).await;
    world.start();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.lambda.calls().len(), 2, "the first, at its time, and one for all that were missed");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let calls = world.lambda.calls();
    let starts: Vec<Timestamp> =
        calls.iter().map(|call| call.event["startTimestamp"].as_str().unwrap().parse().unwrap()).collect();
    let of = |minute: u64| schedule.start_timestamp.saturating_add(Duration::from_secs(60 * minute));
    assert_eq!(starts, [of(0), of(24 * 60), of(24 * 60 + 1)], "the latest that was missed, and the grid did not move");
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_starts_now_has_its_first_task_without_a_ticker() {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let schedule = world.schedule("hello", 60, None).await;
    let tasks = world.all_tasks().await;
    let [task] = tasks.values().collect::<Vec<_>>()[..] else { panic!("one Task: {tasks:?}") };
    assert_eq!(task["startTimestamp"], schedule.start_timestamp.to_string());
    assert_eq!(schedule.next_timestamp, Some(schedule.start_timestamp.saturating_add(Duration::from_secs(60))));
    world.ticker.tick().await.unwrap();
    assert_eq!(world.all_tasks().await.len(), 1, "the ticker does not make it again");
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_ticker_is_woken_for_a_new_schedule() {
    let world = World::running(5).await;
    world.function("hello", FunctionOptions::default()).await;
    // Nothing is due, so the ticker sleeps for its longest time.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let first = world.now();
    world.schedule("hello", 1, None).await;
    tokio::time::sleep(Duration::from_millis(9500)).await;
    let calls = world.lambda.calls();
    assert_eq!(calls.len(), 10);
    for (number, call) in calls.iter().enumerate() {
        let due = first.saturating_add(Duration::from_secs(number as u64));
        assert_eq!(call.event["startTimestamp"], due.to_string());
        assert!(call.at.since(due) < Duration::from_millis(50), "{:?} late", call.at.since(due));
    }
}

#[tokio::test(start_paused = true)]
async fn a_disabled_functions_occurrences_are_skipped_and_not_piled_up() {
    let world = World::running(5).await;
    world.function("hello", FunctionOptions::default()).await;
    world.service.set_function_enabled("hello", false).await.unwrap();
    world.schedule("hello", 60, None).await;
    tokio::time::sleep(Duration::from_secs(290)).await;
    world.service.set_function_enabled("hello", true).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.lambda.calls().len(), 0);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.lambda.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_direct_execution_bypasses_the_queue_and_returns_the_result() {
    let world = World::at_rest(5).await;
    world.function("hello", public()).await;
    world.lambda.behave("hello", |_| async { Ok(TestLambda::returned(r#"{"x": 1.0}"#)) });
    let executed = world.service.execute(&Caller::Nobody, "hello", None).await.unwrap();
    assert_eq!(executed.task.status, TaskStatus::Complete);
    assert_eq!(executed.result.as_str(), r#"{"x": 1.0}"#);
    assert_eq!(world.get(executed.task.id).await.status, TaskStatus::Complete);
}

fn public() -> FunctionOptions {
    FunctionOptions { permission_mode: Some(tasklane_model::PermissionMode::Public), ..FunctionOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn a_direct_execution_that_throws_is_not_retried_and_names_its_task() {
    let world = World::running(5).await;
    world.function("flaky", FunctionOptions { retry_policy: retrying(&[]).retry_policy, ..public() }).await;
    world.lambda.throw("flaky", "Oops");
    let error = world.service.execute(&Caller::Nobody, "flaky", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LambdaRuntime);
    let body = serde_json::to_value(error.to_body()).unwrap();
    assert_eq!(body["runtimeError"], serde_json::json!({ "name": "Oops", "message": "as told" }));
    let id: ObjectId = body["taskId"].as_str().unwrap().parse().unwrap();
    assert_eq!(world.get(id).await.status, TaskStatus::Failed);
    assert_eq!(world.events.published().len(), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.lambda.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_direct_execution_without_a_free_slot_is_refused() {
    let world = World::running(1).await;
    world.function("slow", public()).await;
    world.lambda.take("slow", Duration::from_secs(5));
    let execute = || world.service.execute(&Caller::Nobody, "slow", None);
    let (first, second) = tokio::join!(execute(), execute());
    first.unwrap();
    assert_eq!(second.unwrap_err().kind(), ErrorKind::ConcurrentExecutionLimit);
    execute().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn slow_and_disabled_functions_cannot_be_executed_directly() {
    let world = World::running(1).await;
    let slow = FunctionOptions { time_limit: Some(TimeLimit::new(31).unwrap()), ..public() };
    world.function("slow", slow).await;
    world.function("off", public()).await;
    world.service.set_function_enabled("off", false).await.unwrap();
    let kind = |error: tasklane_model::Error| error.kind();
    let slow = world.service.execute(&Caller::Nobody, "slow", None).await.unwrap_err();
    assert_eq!(kind(slow), ErrorKind::TimeLimitExceedsDirectExecutionMaximum);
    let off = world.service.execute(&Caller::Nobody, "off", None).await.unwrap_err();
    assert_eq!(kind(off), ErrorKind::IllegalState);
}

#[tokio::test(start_paused = true)]
async fn a_task_reaches_its_true_state_if_the_caller_disconnects() {
    let world = World::at_rest(1).await;
    world.function("slow", public()).await;
    world.lambda.take("slow", Duration::from_secs(5));
    let call = world.service.execute(&Caller::Nobody, "slow", None);
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err(), "the caller gave up");
    let id = world.lambda.calls()[0].correlation;
    assert_eq!(world.finished(id).await.status, TaskStatus::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_changes_nothing_deploys_nothing() {
    let world = World::at_rest(1).await;
    world.function("hello", FunctionOptions::default()).await;
    let before = world.service.get_function("hello").await.unwrap();
    world.service.update_function("hello", FunctionChange::default()).await.unwrap();
    let policy = RetryPolicyChange::every_error();
    let options = FunctionOptions { retry_policy: Some(policy), ..FunctionOptions::default() };
    world.service.update_function("hello", FunctionChange { options, ..FunctionChange::default() }).await.unwrap();
    assert_eq!(world.lambda.deployments(), 1);
    let after = world.service.get_function("hello").await.unwrap();
    assert_eq!(after.deployment, before.deployment);
    assert!(after.retry_policy.enabled);
}

fn shift_for(world: &World, woken_for: impl Into<Vec<ObjectId>>) -> Shift {
    let ends = world.now().saturating_add(Duration::from_secs(900));
    Shift { woken_for: woken_for.into(), ends, longest_drain: LONGEST_DRAIN }
}

#[tokio::test(start_paused = true)]
async fn a_delayed_task_needs_only_a_wake_up_at_its_time() {
    let world = World::at_rest(1).await;
    world.function("hello", FunctionOptions::default()).await;
    let start = world.now().saturating_add(Duration::from_secs(2));
    let task = world.task_with("hello", 0, Some(start)).await;
    let shift = async || {
        work_shift(&world.dispatcher, &world.slots, &world.ports, shift_for(&world, [])).await.unwrap();
    };
    shift().await;
    assert_eq!(world.get(task.id).await.status, TaskStatus::New);
    tokio::time::sleep(Duration::from_secs(2)).await;
    shift().await;
    assert_eq!(world.get(task.id).await.status, TaskStatus::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_task_in_a_new_lane_is_found() {
    let world = World::at_rest(1).await;
    let freed = std::sync::Arc::new(Notify::new());
    assert_eq!(world.dispatcher.claim_all(&freed).await.unwrap(), Claimed::Nothing);
    let other = world.beside(1, "another");
    other.function("apart", limited(1)).await;
    let task = other.task("apart").await;
    assert_eq!(world.dispatcher.claim_all(&freed).await.unwrap(), Claimed::Nothing, "it was all there was");
    world.finished(task.id).await;
    assert_eq!(world.lambda.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_suspended_after_its_claim_does_not_start_the_run() {
    let world = World::at_rest(1).await;
    world.function("hello", FunctionOptions::default()).await;
    let task = world.task("hello").await;
    let function = world.store.functions.get(&task.function_name).await.unwrap().unwrap().value;
    let head = world.store.tasks.heads(&[tasklane_store::QueueLane::Shared], 1).await.unwrap().remove(0);
    let run = new_run(&world.ports, &RunnerId::new("runner"), function.time_limit());
    let claimed = world.store.tasks.claim(&head, &run, run.started).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    world.ticker.tick().await.unwrap();
    let runner = Runner::new(world.store.clone(), world.ports.clone());
    let ended = runner.run_queued(claimed, &function, &run).await;
    assert!(matches!(ended, Ended::Unknown(_)), "{ended:?}");
    assert_eq!(world.lambda.calls().len(), 0);
    assert_eq!(world.get(task.id).await.error.unwrap().name, "zombieTaskCleaned");
}
