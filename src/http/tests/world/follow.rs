//! Tasks that follow others.

use std::time::Duration;

use serde_json::{Value, json};
use tasklane_model::{RetryPolicyChange, TaskStatus, TimeLimit};
use tasklane_service::FunctionOptions;
use tasklane_testing::TestLambda;

use super::kit::Kit;

const MAY: &str = "may CREATE_TASKS,VIEW_TASKS,CANCEL_TASKS,CREATE_TASK_SCHEDULE";

/// A service with a Function `work`, which does what its data says, and a Function `next`.
async fn kit() -> Kit {
    let kit = Kit::new().await;
    let retry_policy = Some(RetryPolicyChange { enabled: true, ..RetryPolicyChange::default() });
    let time_limit = TimeLimit::new(10).ok();
    kit.world.function("work", FunctionOptions { retry_policy, time_limit, ..FunctionOptions::default() }).await;
    kit.world.function("next", FunctionOptions::default()).await;
    kit.world.lambda.behave("work", |call| async move {
        match call.event["data"].as_str() {
            Some("throw") => Ok(TestLambda::threw("Boom")),
            Some("recover") if call.event["retryForTaskIds"].is_null() => Ok(TestLambda::threw("Boom")),
            Some("hang") => std::future::pending().await,
            Some("large") => Ok(TestLambda::returned(&format!("\"{}\"", "x".repeat(128 * 1024)))),
            _ => Ok(TestLambda::returned(r#"{"n": 1.50}"#)),
        }
    });
    kit
}

async fn create(kit: &Kit, data: &str, start: Option<&str>) -> String {
    let follow = json!({ "functionName": "next", "data": { "mine": [1.0] } });
    let body =
        json!({ "functionName": "work", "data": data, "onComplete": follow, "startTimestamp": start, "tags": ["t"] });
    let answered = kit.ask("POST /tasks/v1", MAY, body.to_string()).await;
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.text);
    assert_eq!(answered.json()["onComplete"], follow);
    answered.json()["id"].as_str().unwrap().to_owned()
}

/// All Tasks of `next`, oldest first.
async fn followers(kit: &Kit) -> Vec<Value> {
    kit.world.all_tasks().await.into_values().filter(|task| task["functionName"] == "next").collect()
}

async fn the_follower(kit: &Kit) -> Value {
    loop {
        let found = followers(kit).await;
        assert!(found.len() <= 1, "{found:?}");
        if let Some(task) = found.into_iter().next() {
            return task;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_follows_one_that_is_complete_with_its_result_and_its_context() {
    let kit = kit().await;
    kit.world.start();
    let id = create(&kit, "fine", None).await;
    let next = the_follower(&kit).await;
    let data = &next["data"];
    assert_eq!((&data["task"]["id"], &data["task"]["status"]), (&json!(id), &json!("complete")));
    assert_eq!((&data["result"], &data["context"]), (&json!({ "n": 1.5 }), &json!({ "mine": [1.0] })));
    assert!(data["task"]["data"].is_null() && data["error"].is_null() && data["resultOmitted"].is_null());
    assert_eq!((&next["createdByUserId"], &next["tags"]), (&json!("ada"), &json!([])));
    assert!(next["onComplete"].is_null(), "nothing follows the task that follows");
    kit.world.finished(next["id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(followers(&kit).await.len(), 1);
    let event = kit.world.lambda.calls().pop().unwrap().event;
    assert_eq!(event["data"]["task"]["id"], json!(id));
}

#[tokio::test(start_paused = true)]
async fn one_task_follows_a_whole_chain_when_it_has_ended() {
    for (data, runs, status) in [("throw", 4, "failed"), ("recover", 2, "complete")] {
        let kit = kit().await;
        kit.world.start();
        let first = create(&kit, data, None).await;
        let next = the_follower(&kit).await;
        let (task, error) = (&next["data"]["task"], &next["data"]["error"]);
        assert_eq!(task["status"], status);
        assert_eq!(task["retryForTaskIds"].as_array().unwrap().len(), runs - 1);
        assert_eq!(task["retryForTaskIds"][0], json!(first));
        assert_eq!(error["name"] == "Boom", status == "failed", "{error}");
        assert_eq!(error, &task["error"]);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(followers(&kit).await.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_follows_a_canceled_one_and_a_zombie() {
    let kit = kit().await;
    let id = create(&kit, "fine", Some("2027-01-01T00:00:00Z")).await;
    assert_eq!(kit.ask(&format!("POST /tasks/v1/{id}/cancel"), MAY, "").await.code(), 0);
    let next = the_follower(&kit).await;
    assert_eq!((&next["data"]["task"]["id"], &next["data"]["task"]["status"]), (&json!(id), &json!("canceled")));
    assert!(next["data"]["result"].is_null() && next["data"]["error"].is_null());
    assert_eq!(kit.ask(&format!("POST /tasks/v1/{id}/cancel"), MAY, "").await.code(), 27);
    assert_eq!(followers(&kit).await.len(), 1);

    let kit = self::kit().await;
    kit.world.start();
    let id = create(&kit, "hang", None).await;
    let next = the_follower(&kit).await;
    assert_eq!(
        (&next["data"]["task"]["id"], &next["data"]["error"]["name"]),
        (&json!(id), &json!("zombieTaskCleaned"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_follows_one_that_expired_in_the_queue() {
    let kit = kit().await;
    let follow = json!({ "functionName": "next" });
    let body = json!({ "functionName": "work", "onComplete": follow, "timeouts": { "queued": 5 } }).to_string();
    let created = kit.ask("POST /tasks/v1", MAY, body).await;
    assert_eq!(created.code(), 0, "{}", created.text);
    kit.world.service.set_function_enabled("work", false).await.unwrap();
    kit.world.start();
    let next = the_follower(&kit).await;
    let (task, error) = (&next["data"]["task"], &next["data"]["error"]);
    assert_eq!((&task["id"], &task["status"]), (&created.json()["id"], &json!("failed")));
    assert_eq!(error["name"], "taskExpired");
    assert!(next["data"].as_object().unwrap().get("context").is_none());
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(followers(&kit).await.len(), 1);
    assert_eq!(kit.world.events.published().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_is_left_out() {
    let kit = kit().await;
    kit.world.start();
    create(&kit, "large", None).await;
    let next = the_follower(&kit).await;
    assert_eq!((&next["data"]["resultOmitted"], next["data"]["result"].is_null()), (&json!(true), true));
}

#[tokio::test(start_paused = true)]
async fn a_task_follows_even_if_its_function_is_gone_and_then_fails() {
    let kit = kit().await;
    create(&kit, "fine", None).await;
    kit.world.service.delete_function("next").await.unwrap();
    kit.world.clock.jump(5);
    kit.world.start();
    let next = the_follower(&kit).await;
    let ended = kit.world.finished(next["id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(ended.status, TaskStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_task_follows_each_task_of_a_schedule() {
    let kit = kit().await;
    kit.world.start();
    let body =
        json!({ "functionName": "work", "interval": 60, "onComplete": { "functionName": "next", "data": null } });
    let schedule = kit.ask("POST /tasks/v1/schedules", MAY, body.to_string()).await;
    assert_eq!(schedule.json()["onComplete"], json!({ "functionName": "next", "data": null }), "{}", schedule.text);
    while followers(&kit).await.len() < 3 {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    for next in followers(&kit).await {
        assert!(next["data"].as_object().unwrap().contains_key("context"), "null is a context");
        assert_eq!(next["data"]["task"]["status"], "complete");
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_is_checked_when_the_task_is_created() {
    let kit = kit().await;
    let nested = json!({ "functionName": "next", "onComplete": { "functionName": "next" } });
    let large = json!({ "functionName": "next", "data": "x".repeat(64 * 1024) });
    for (follow, code, says) in [
        (json!({ "functionName": "missing" }), 16, "missing"),
        (json!({}), 14, "'onComplete.functionName'"),
        (json!({ "functionName": "a b" }), 15, "'onComplete.functionName'"),
        (json!("next"), 15, "'onComplete'"),
        (json!([]), 15, "'onComplete'"),
        (nested, 15, "'onComplete.onComplete'"),
        (large, 15, "64 KB"),
    ] {
        for target in ["POST /tasks/v1", "POST /tasks/v1/schedules"] {
            for key in ["", "k"] {
                let body = json!({ "functionName": "work", "interval": 60, "onComplete": follow }).to_string();
                let refused = kit.ask_with(target, &[("authorization", MAY), ("idempotency-key", key)], body).await;
                assert_eq!(
                    (refused.code(), refused.text.contains(says)),
                    (code, true),
                    "{follow:.80}: {}",
                    refused.text
                );
            }
        }
    }
    assert_eq!(kit.world.all_tasks().await.len(), 0);
    let body = json!({ "functionName": "work", "onComplete": null }).to_string();
    assert!(kit.ask("POST /tasks/v1", MAY, body).await.json()["onComplete"].is_null());
    let body = json!({ "tasks": [
        { "functionName": "work", "onComplete": { "functionName": "missing" } },
        { "functionName": "work", "onComplete": { "functionName": "next" } },
    ] });
    for key in ["", "k", "k"] {
        let headers = [("authorization", MAY), ("idempotency-key", key)];
        let answered = kit.ask_with("POST /tasklane/v1/tasks/batch", &headers, body.to_string()).await.json();
        assert_eq!((&answered["data"][0]["code"], &answered["data"][1]["status"]), (&json!(16), &json!("new")));
    }
}
