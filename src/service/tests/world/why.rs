//! Why a Task waits, or what became of it: each reason is brought about (contract §16), and the chain of its retries (§13).

use std::time::Duration;

use serde_json::{Value, json};
use tasklane_model::{
    ConcurrencyLimit, ErrorKind, FunctionOptions, ObjectId, QueuedTimeout, RetryPolicyChange, Task, TaskStatus,
    Timestamp,
};
use tasklane_store::RunnerId;
use tasklane_testing::World;

async fn why(world: &World, id: ObjectId) -> Value {
    let why = serde_json::to_value(world.service.why(id).await.unwrap()).unwrap();
    assert!(why["message"].as_str().unwrap().ends_with('.'), "{why}");
    let status = match why["reason"].as_str().unwrap() {
        "running" => "inProgress",
        "completed" => "complete",
        "failed" | "zombie" | "expired" => "failed",
        ended @ ("retried" | "canceled") => ended,
        _ => "new",
    };
    assert_eq!(why["status"], status, "{why}");
    why
}

async fn reason(world: &World, id: ObjectId) -> String {
    why(world, id).await["reason"].as_str().unwrap().to_owned()
}

/// Asks until the reason is this one.
async fn until(world: &World, id: ObjectId, wanted: &str) -> Value {
    loop {
        let why = why(world, id).await;
        if why["reason"] == wanted {
            return why["details"].clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn limited(limit: i64) -> FunctionOptions {
    let limit = ConcurrencyLimit::new(limit).unwrap();
    FunctionOptions { concurrency_limit: Some(Some(limit)), ..FunctionOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_task_is_16() {
    let world = World::at_rest(1).await;
    let id = ObjectId::new(world.now(), 7);
    assert_eq!(world.service.why(id).await.unwrap_err().kind(), ErrorKind::ResourceUnknown);
    assert_eq!(world.service.task_attempts(id, "").await.unwrap_err().kind(), ErrorKind::ResourceUnknown);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_not_due_waits_for_its_time_even_if_its_function_is_disabled() {
    let world = World::running(1).await;
    world.function("hello", FunctionOptions::default()).await;
    let at = world.now().saturating_add(Duration::from_secs(3600));
    let task = world.task_with("hello", 0, Some(at)).await;
    world.service.set_function_enabled("hello", false).await.unwrap();
    let why = why(&world, task.id).await;
    assert_eq!((&why["reason"], &why["details"]), (&json!("notDue"), &json!({ "at": at })));
    assert!(why["message"].as_str().unwrap().contains(&at.to_string()));
}

#[tokio::test(start_paused = true)]
async fn the_function_may_be_disabled_or_missing() {
    let world = World::at_rest(1).await;
    world.function("hello", FunctionOptions::default()).await;
    let task = world.task("hello").await;
    world.service.set_function_enabled("hello", false).await.unwrap();
    assert_eq!(why(&world, task.id).await["details"], json!({}));
    assert_eq!(reason(&world, task.id).await, "functionDisabled");
    world.service.delete_function("hello").await.unwrap();
    assert_eq!(reason(&world, task.id).await, "functionMissing");
}

#[tokio::test(start_paused = true)]
async fn a_task_without_a_slot_learns_how_many_come_first() {
    let world = World::running(1).await;
    for name in ["slow", "own", "off"] {
        let options = if name == "own" { limited(1) } else { FunctionOptions::default() };
        world.function(name, options).await;
        world.lambda.take(name, Duration::from_secs(20));
    }
    let running = world.task("slow").await;
    let details = until(&world, running.id, "running").await;
    let since: Timestamp = details["since"].as_str().unwrap().parse().unwrap();
    let latest: Timestamp = details["until"].as_str().unwrap().parse().unwrap();
    assert!(since <= world.now() && latest >= since.saturating_add(Duration::from_secs(30)), "{details}");

    // The Tasks of a disabled Function come before nobody's.
    world.service.set_function_enabled("off", false).await.unwrap();
    world.task_with("off", 9, None).await;
    let urgent = world.task_with("own", 5, None).await;
    let next = world.task("slow").await;
    let last = world.task("slow").await;
    for (task, ahead) in [(&urgent, 0), (&next, 1), (&last, 2)] {
        let details = until(&world, task.id, "slots").await;
        assert_eq!(details, json!({ "running": 1, "limit": 1, "ahead": ahead }));
    }
    for task in [running, urgent, next, last] {
        world.finished(task.id).await;
        assert_eq!(reason(&world, task.id).await, "completed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_beyond_its_functions_own_limit_learns_that() {
    let world = World::running(5).await;
    world.function("own", limited(1)).await;
    world.function("other", FunctionOptions::default()).await;
    world.lambda.take("own", Duration::from_secs(20));
    let running = world.task("own").await;
    until(&world, running.id, "running").await;
    let [next, last] = [world.task("own").await, world.task("own").await];
    for (task, ahead) in [(&next, 0), (&last, 1)] {
        let details = until(&world, task.id, "functionLimit").await;
        assert_eq!(details, json!({ "running": 1, "limit": 1, "ahead": ahead }));
    }
    world.finished(last.id).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_dispatcher_a_task_is_next_for_a_while_and_then_nobody_looks_for_it() {
    let world = World::at_rest(5).await;
    world.function("hello", FunctionOptions::default()).await;
    let first = world.task("hello").await;
    let second = world.task("hello").await;
    assert_eq!(why(&world, second.id).await["details"], json!({ "ahead": 1 }));
    assert_eq!(reason(&world, first.id).await, "next");
    tokio::time::sleep(Duration::from_secs(11)).await;
    let nobody = why(&world, first.id).await;
    assert_eq!((&nobody["reason"], &nobody["details"]), (&json!("noDispatcher"), &json!({})));

    // A dispatcher that claimed a Task and was never seen again.
    world.lambda.take("hello", Duration::from_secs(20));
    let claimed = world.now();
    world.dispatcher.claim_next(&world.woken).await.unwrap();
    let third = world.task("hello").await;
    assert_eq!(reason(&world, third.id).await, "next");
    tokio::time::sleep(Duration::from_secs(15)).await;
    let silent = why(&world, third.id).await;
    assert_eq!(silent["reason"], "noDispatcher", "{silent}");
    let seen: Timestamp = silent["details"]["lastSeen"].as_str().unwrap().parse().unwrap();
    assert!(seen >= claimed && seen.since(claimed) < Duration::from_secs(1), "{silent}");
}

#[tokio::test(start_paused = true)]
async fn final_tasks_say_what_became_of_them_and_attempts_show_the_whole_chain() {
    let world = World::running(5).await;
    let policy = RetryPolicyChange::every_error();
    world.function("flaky", FunctionOptions { retry_policy: Some(policy), ..FunctionOptions::default() }).await;
    world.lambda.throw("flaky", "Oops");
    let later = world.task_with("flaky", 0, Some(world.now().saturating_add(Duration::from_secs(3600)))).await;
    world.service.cancel_task(later.id).await.unwrap();
    assert_eq!(reason(&world, later.id).await, "canceled");
    let attempts = async |id| world.service.task_attempts(id, "q").await.unwrap();
    let canceled = attempts(later.id).await;
    assert_eq!((canceled.data.len(), canceled.data[0].claimed_timestamp), (1, None));
    assert!(canceled.data[0].ended_timestamp.is_some());

    let first = world.task("flaky").await;
    let mut chain: Vec<Task> = vec![world.finished(first.id).await];
    while let Some(next) = chain[chain.len() - 1].retried_by_task_id {
        assert_eq!(why(&world, chain[chain.len() - 1].id).await["details"], json!({ "by": next }));
        chain.push(world.finished(next).await);
    }
    assert_eq!(chain.len(), 4);
    assert_eq!(reason(&world, chain[3].id).await, "failed");
    let whole = attempts(first.id).await;
    let ids: Vec<_> = whole.data.iter().map(|attempt| attempt.task_id).collect();
    assert_eq!(ids, chain.iter().map(|task| task.id).collect::<Vec<_>>());
    for task in &chain {
        assert_eq!(attempts(task.id).await.data, whole.data);
    }
    assert_eq!((whole.page.total, whole.page.limit, whole.query.as_str()), (Some(4), 4, "q"));
    for (attempt, task) in whole.data.iter().zip(&chain) {
        assert_eq!((attempt.status, attempt.start_timestamp), (task.status, task.start_timestamp));
        assert_eq!(attempt.ended_timestamp, Some(task.status_changed_timestamp));
        assert!(attempt.claimed_timestamp.unwrap() >= attempt.start_timestamp);
        assert_eq!(attempt.error.as_ref().unwrap().name, "Oops");
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_task_is_named_as_such() {
    let world = World::running(1).await;
    let options = FunctionOptions { queued_timeout: Some(QueuedTimeout::new(5).ok()), ..FunctionOptions::default() };
    world.function("off", options).await;
    world.service.set_function_enabled("off", false).await.unwrap();
    let task = world.task("off").await;
    assert_eq!(reason(&world, task.id).await, "functionDisabled");
    world.finished(task.id).await;
    assert_eq!(reason(&world, task.id).await, "expired");
}

#[tokio::test(start_paused = true)]
async fn a_zombie_is_named_as_such() {
    let world = World::at_rest(1).await;
    world.function("hello", FunctionOptions::default()).await;
    world.lambda.take("hello", Duration::from_secs(20));
    let task = world.task("hello").await;
    world.dispatcher.claim_next(&world.woken).await.unwrap();
    world.ticker.bury(&RunnerId::new("runner")).await.unwrap();
    assert_eq!(world.get(task.id).await.status, TaskStatus::Failed);
    assert_eq!(reason(&world, task.id).await, "zombie");
}
