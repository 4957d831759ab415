//! Direct executions with idempotency keys.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use serde_json::json;
use tasklane_model::{PermissionMode, TaskStatus};
use tasklane_service::FunctionOptions;
use tasklane_testing::TestLambda;

use super::kit::{Answered, Kit};

const EXECUTE: &str = "POST /tasks/v1/functions/hello/execute";

/// A service whose Function `hello` takes a second and returns how often it ran, and `{"fail":true}` throws.
async fn kit() -> Kit {
    let kit = Kit::new().await;
    let options = FunctionOptions { permission_mode: Some(PermissionMode::Public), ..FunctionOptions::default() };
    kit.world.function("hello", options).await;
    let runs = Arc::new(AtomicUsize::new(0));
    kit.world.lambda.behave("hello", move |call| {
        let runs = Arc::clone(&runs);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let number = runs.fetch_add(1, Ordering::SeqCst) + 1;
            Ok(match call.event["data"]["fail"] == true {
                true => TestLambda::threw("Boom"),
                false => TestLambda::returned(&format!("{{\"run\":{number}.0}}")),
            })
        }
    });
    kit
}

async fn keyed(kit: &Kit, key: &str, body: &str) -> Answered {
    kit.ask_with(EXECUTE, &[("authorization", "may "), ("idempotency-key", key)], body.to_owned()).await
}

fn is_replay(answered: &Answered) -> bool {
    answered.headers.contains_key("idempotent-replayed")
}

#[tokio::test(start_paused = true)]
async fn a_hundred_executions_at_once_run_once_and_all_get_the_result() {
    let kit = kit().await;
    let answered = join_all((0..100).map(|_| keyed(&kit, "k", r#"{"data":{"n":1}}"#))).await;
    let texts: BTreeSet<_> = answered.iter().map(|answered| answered.text.clone()).collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts.first().unwrap().contains("\"result\":{\"run\":1.0}"), "{texts:?}");
    assert_eq!(answered.iter().filter(|answered| !is_replay(answered)).count(), 1);
    let later = keyed(&kit, "k", r#"{"data":{"n":1.0}}"#).await;
    assert_eq!((later.text.as_str(), is_replay(&later)), (texts.first().unwrap().as_str(), true));
    assert_eq!(kit.world.lambda.calls().len(), 1);
    assert_eq!(keyed(&kit, "k", r#"{"data":{"n":2}}"#).await.code(), 1501);
    assert_eq!(kit.world.lambda.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_code_is_repeated_and_the_code_is_not() {
    let kit = kit().await;
    let first = keyed(&kit, "k", r#"{"data":{"fail":true}}"#).await;
    let again = keyed(&kit, "k", r#"{"data":{"fail":true}}"#).await;
    assert_eq!((first.code(), first.status.as_u16(), is_replay(&first)), (1406, 400, false));
    assert_eq!((again.text.as_str(), is_replay(&again)), (first.text.as_str(), true));
    assert_eq!(kit.world.lambda.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_is_an_empty_object() {
    let kit = kit().await;
    let first = keyed(&kit, "k", "").await;
    let again = keyed(&kit, "k", r#" {"idempotencyKey":"k"} "#).await;
    assert_eq!((again.text.as_str(), is_replay(&again)), (first.text.as_str(), true));
    assert_eq!(keyed(&kit, "k", r#"{"data":null}"#).await.code(), 1501);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_breaks_its_rule_runs_nothing() {
    let kit = kit().await;
    for key in [json!(""), json!("x".repeat(256)), json!(1), json!([])] {
        let body = json!({ "idempotencyKey": key }).to_string();
        assert_eq!(keyed(&kit, "", &body).await.code(), 15, "{key}");
    }
    assert_eq!(keyed(&kit, "a", r#"{"idempotencyKey":"b"}"#).await.code(), 26);
    // Nobody to keep a key for, although the Function is public.
    assert_eq!(kit.ask_with(EXECUTE, &[("idempotency-key", "k")], "").await.code(), 26);
    assert_eq!(kit.world.lambda.calls().len(), 0);
    assert_eq!(kit.world.all_tasks().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn only_executions_that_began_are_remembered() {
    let kit = kit().await;
    kit.world.service.set_function_enabled("hello", false).await.unwrap();
    assert_eq!(keyed(&kit, "k", r#"{"data":1}"#).await.code(), 27);
    kit.world.service.set_function_enabled("hello", true).await.unwrap();
    let made = keyed(&kit, "k", r#"{"data":2}"#).await;
    assert_eq!((made.code(), is_replay(&made)), (0, false), "{}", made.text);
    // What ran is answered even if the Function cannot run any more.
    kit.world.service.set_function_enabled("hello", false).await.unwrap();
    assert_eq!(keyed(&kit, "k", r#"{"data":2}"#).await.text, made.text);
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_broke_off_before_its_task_is_begun_by_the_next_call() {
    let kit = kit().await;
    kit.world.database.refuse(|operation, body| operation == "PutItem" && body.contains("\"attempt\""));
    assert_eq!(keyed(&kit, "k", "").await.code(), 1);
    kit.world.database.refuse(|_, _| false);
    assert_eq!(kit.world.all_tasks().await.len(), 0);
    let finished = keyed(&kit, "k", "").await;
    assert_eq!((finished.code(), is_replay(&finished)), (0, true), "{}", finished.text);
    assert_eq!(keyed(&kit, "k", "").await.text, finished.text);
    assert_eq!((kit.world.lambda.calls().len(), kit.world.all_tasks().await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_execution_whose_runner_died_is_answered_when_its_task_ends() {
    let kit = kit().await;
    kit.world.lambda.behave("hello", |_| async { std::future::pending().await });
    let first = tokio::time::timeout(Duration::from_secs(5), keyed(&kit, "k", "")).await;
    first.expect_err("the code never returns");
    kit.world.start();
    let again = keyed(&kit, "k", "").await;
    assert!([1405, 1406].contains(&again.code()) && is_replay(&again), "{}", again.text);
    let task = again.json()["taskId"].as_str().unwrap().parse().unwrap();
    assert_eq!(kit.world.get(task).await.status, TaskStatus::Failed);
    assert_eq!(kit.world.lambda.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_large_result_is_kept_and_one_that_cannot_be_kept_fails_nothing() {
    let kit = kit().await;
    let large = format!("\"{}\"", "x".repeat(400 * 1024));
    let returned = large.clone();
    kit.world.lambda.behave("hello", move |_| {
        let answer = TestLambda::returned(&returned);
        async move { Ok(answer) }
    });
    let first = keyed(&kit, "a", "").await;
    assert!(first.text.contains(&large));
    assert_eq!(keyed(&kit, "a", "").await.text, first.text);
    *kit.world.objects.refuses.lock() = true;
    let first = keyed(&kit, "b", "").await;
    assert!(first.text.contains(&large));
    let again = keyed(&kit, "b", "").await;
    assert_eq!((again.code(), is_replay(&again)), (1405, true));
    assert_eq!(again.json()["taskId"], first.json()["id"]);
    assert_eq!(kit.world.lambda.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_function_has_keys_of_its_own() {
    let kit = kit().await;
    kit.world.function("other", FunctionOptions::default()).await;
    keyed(&kit, "k", "").await;
    let headers = [("authorization", "may EXECUTE_TASK_FUNCTION"), ("idempotency-key", "k")];
    let other = kit.ask_with("POST /tasks/v1/functions/other/execute", &headers, "").await;
    assert_eq!((other.code(), is_replay(&other)), (0, false));
    // Permissions come first.
    let headers = [("authorization", "may "), ("idempotency-key", "k")];
    assert_eq!(kit.ask_with("POST /tasks/v1/functions/other/execute", &headers, "").await.code(), 10);
}
