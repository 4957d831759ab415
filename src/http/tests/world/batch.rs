//! Many Tasks in one call.

use futures::future::join_all;
use serde_json::{Value, json};
use tasklane_service::FunctionOptions;

use super::kit::{Answered, Kit};

const BATCH: &str = "POST /tasklane/v1/tasks/batch";

async fn kit() -> Kit {
    let kit = Kit::new().await;
    kit.world.function("hello", FunctionOptions::default()).await;
    kit
}

async fn send(kit: &Kit, key: &str, tasks: &Value) -> Answered {
    let body = json!({ "tasks": tasks }).to_string();
    kit.ask_with(BATCH, &[("authorization", "may CREATE_TASKS"), ("idempotency-key", key)], body).await
}

/// The code of each error, and 0 for each Task.
fn codes(answered: &Answered) -> Vec<u64> {
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.text);
    let entries = answered.json()["data"].as_array().unwrap().clone();
    entries.iter().map(|entry| entry["code"].as_u64().unwrap_or_default()).collect()
}

fn ids(answered: &Answered) -> Vec<String> {
    let entries = answered.json()["data"].as_array().unwrap().clone();
    entries.iter().map(|entry| entry["id"].as_str().unwrap_or_default().to_owned()).collect()
}

fn is_replay(answered: &Answered) -> bool {
    answered.headers.contains_key("idempotent-replayed")
}

#[tokio::test]
async fn entries_are_answered_in_their_order_and_fail_alone() {
    let kit = kit().await;
    let answered = send(
        &kit,
        "",
        &json!([
            { "functionName": "hello", "data": 1, "priority": 5, "tags": ["a"] },
            { "functionName": "missing" },
            { "priority": 1 },
            { "functionName": "hello", "priority": "high" },
            { "functionName": "hello", "data": "x".repeat(251 * 1024) },
            { "functionName": "hello", "startTimestamp": "2026-02-01T00:00:00Z" },
        ]),
    )
    .await;
    assert_eq!(codes(&answered), [0, 16, 14, 15, 15, 0]);
    let data = &answered.json()["data"];
    assert_eq!(
        (&data[0]["data"], &data[0]["priority"], &data[0]["createdByUserId"]),
        (&json!(1), &json!(5), &json!("ada"))
    );
    assert_eq!(data[5]["startTimestamp"], "2026-02-01T00:00:00.000Z");
    assert!(data[3]["message"].as_str().unwrap().contains("'tasks[3].priority'"), "{}", data[3]);
    assert_eq!(kit.world.all_tasks().await.len(), 2);
}

#[tokio::test]
async fn data_is_kept_as_it_was_written() {
    let kit = kit().await;
    let body = r#"{"tasks":[{"functionName":"hello","data":{"n":1.50,"big":12345678901234567890123}}]}"#;
    let answered = kit.ask(BATCH, "may CREATE_TASKS", body).await;
    assert!(answered.text.contains(r#""data":{"n":1.50,"big":12345678901234567890123}"#), "{}", answered.text);
}

#[tokio::test]
async fn a_batch_that_is_none_creates_nothing() {
    let kit = kit().await;
    let task = json!({ "functionName": "hello" });
    for (tasks, code) in [
        (json!([]), 15),
        (json!({}), 15),
        (json!("a"), 15),
        (json!([task, 1]), 15),
        (json!([task, null]), 15),
        (json!([task, [task]]), 15),
        (Value::Null, 14),
        (Value::from(vec![task.clone(); 101]), 15),
    ] {
        let answered = send(&kit, "", &tasks).await;
        assert_eq!(answered.code(), code, "{}", answered.text);
        assert!(answered.text.contains("'tasks'"), "{}", answered.text);
    }
    let large = Value::from(vec![json!({ "functionName": "hello", "data": "x".repeat(220 * 1024) }); 14]);
    let answered = send(&kit, "", &large).await;
    assert_eq!((answered.status.as_u16(), answered.name().as_str()), (413, "PAYLOAD_TOO_LARGE_EXCEPTION"));
    assert_eq!(kit.world.all_tasks().await.len(), 0);
    assert_eq!(codes(&send(&kit, "", &Value::from(vec![task; 100])).await), [0; 100]);
    assert_eq!(kit.ask(BATCH, "may VIEW_TASKS", "{}").await.code(), 10);
}

#[tokio::test]
async fn a_batch_with_a_key_is_created_once_and_what_was_refused_stays_refused() {
    let kit = kit().await;
    let tasks =
        json!([{ "functionName": "hello" }, { "functionName": "later" }, { "functionName": "hello", "data": 2 }]);
    let answered = join_all((0..20).map(|_| send(&kit, "k", &tasks))).await;
    for one in &answered {
        assert_eq!((codes(one), ids(one)), (vec![0, 16, 0], ids(&answered[0])));
    }
    assert_eq!(answered.iter().filter(|one| !is_replay(one)).count(), 1);
    kit.world.function("later", FunctionOptions::default()).await;
    kit.world.service.cancel_task(ids(&answered[0])[2].parse().unwrap()).await.unwrap();
    let again = send(&kit, "k", &tasks).await;
    assert_eq!((codes(&again), ids(&again), is_replay(&again)), (vec![0, 16, 0], ids(&answered[0]), true));
    assert_eq!(again.json()["data"][2]["status"], "canceled");
    assert_eq!(send(&kit, "k", &json!([{ "functionName": "hello" }])).await.code(), 1501);
    assert_eq!(kit.world.all_tasks().await.len(), 2);
}

#[tokio::test]
async fn a_batch_in_which_nothing_was_created_is_not_remembered() {
    let kit = kit().await;
    assert_eq!(codes(&send(&kit, "k", &json!([{ "functionName": "later" }, { "priority": 1 }])).await), [16, 14]);
    kit.world.function("later", FunctionOptions::default()).await;
    let made = send(&kit, "k", &json!([{ "functionName": "later" }])).await;
    assert_eq!((codes(&made), is_replay(&made)), (vec![0], false));
}

#[tokio::test]
async fn entries_may_have_keys_of_their_own() {
    let kit = kit().await;
    let tasks = json!([{ "functionName": "hello", "idempotencyKey": "a" }, { "functionName": "hello" }]);
    let first = send(&kit, "", &tasks).await;
    let second = send(&kit, "", &tasks).await;
    assert_eq!(ids(&first)[0], ids(&second)[0]);
    assert_ne!(ids(&first)[1], ids(&second)[1]);
    let other = json!([{ "functionName": "hello", "idempotencyKey": "a", "priority": 1 }]);
    assert_eq!(codes(&send(&kit, "", &other).await), [1501]);
    assert_eq!(codes(&send(&kit, "", &json!([{ "functionName": "hello", "idempotencyKey": "" }])).await), [15]);
    // Twice in one batch, and in a batch with a key of its own.
    let twice = send(&kit, "", &json!([tasks[0], tasks[0]])).await;
    assert_eq!(ids(&twice), [ids(&first)[0].clone(), ids(&first)[0].clone()]);
    let whole = send(&kit, "whole", &tasks).await;
    assert_eq!(ids(&whole)[0], ids(&first)[0]);
    assert_eq!(ids(&send(&kit, "whole", &tasks).await), ids(&whole));
    assert_eq!(kit.world.all_tasks().await.len(), 4);
}

#[tokio::test]
async fn a_batch_that_broke_off_is_finished_with_the_same_tasks() {
    let kit = kit().await;
    let tasks: Vec<_> = (0..40).map(|n| json!({ "functionName": "hello", "data": n })).collect();
    let tasks = Value::from(tasks);
    kit.world.database.refuse(|operation, body| {
        operation == "PutItem" && [7, 20, 39].iter().any(|n| body.contains(&format!("\"data\":{{\"S\":\"{n}\"}}")))
    });
    let broken = send(&kit, "k", &tasks).await;
    assert_eq!(codes(&broken).iter().filter(|code| **code == 1).count(), 3);
    assert_eq!(kit.world.all_tasks().await.len().min(20), 20, "a page");
    kit.world.database.refuse(|_, _| false);
    let finished = send(&kit, "k", &tasks).await;
    assert_eq!((codes(&finished), is_replay(&finished)), (vec![0; 40], true));
    for (before, after) in ids(&broken).iter().zip(ids(&finished)) {
        assert!(before.is_empty() || *before == after, "{before} {after}");
    }
    let data: Vec<_> = finished.json()["data"].as_array().unwrap().iter().map(|task| task["data"].clone()).collect();
    assert_eq!(data, (0..40).map(Value::from).collect::<Vec<_>>());
    assert_eq!(ids(&send(&kit, "k", &tasks).await), ids(&finished));
}
