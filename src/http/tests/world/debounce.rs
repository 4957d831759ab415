//! Debounced creations (contract §11).

use std::time::Duration;

use serde_json::{Value, json};
use tasklane_model::TaskStatus;
use tasklane_service::FunctionOptions;

use super::kit::Kit;

const MAY: &str = "may CREATE_TASKS,VIEW_TASKS,CANCEL_TASKS";

async fn kit() -> Kit {
    let kit = Kit::new().await;
    for name in ["index", "other"] {
        kit.world.function(name, FunctionOptions::default()).await;
    }
    kit.world.start();
    kit
}

fn body(data: &Value, debounce: &Value) -> Value {
    json!({ "functionName": "index", "data": data, "debounce": debounce })
}

async fn post(kit: &Kit, body: &Value) -> (u16, Value) {
    let answered = kit.ask("POST /tasks/v1", MAY, body.to_string()).await;
    (answered.status.as_u16(), answered.json())
}

async fn create(kit: &Kit, data: Value, debounce: Value) -> Value {
    let (status, task) = post(kit, &body(&data, &debounce)).await;
    assert_eq!(status, 200, "{task}");
    task
}

/// How many seconds after its creation a Task starts.
fn delay(task: &Value) -> f64 {
    let at = |field: &str| task[field].as_str().unwrap().parse::<tasklane_model::Timestamp>().unwrap();
    at("startTimestamp").since(at("creationTimestamp")).as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn creations_in_a_row_become_one_task_with_the_last_data() {
    let kit = kit().await;
    let debounce = json!({ "key": "k", "seconds": 5 });
    let first = create(&kit, json!({ "n": 1 }), debounce.clone()).await;
    assert_eq!((delay(&first), &first["debounce"]), (5.0, &debounce));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let second = create(&kit, json!({ "n": 2 }), debounce.clone()).await;
    assert_eq!((&second["id"], &second["data"], delay(&second)), (&first["id"], &json!({ "n": 2 }), 8.0));
    let other_key = create(&kit, json!(3), json!({ "key": "K", "seconds": 5 })).await;
    assert_ne!(other_key["id"], first["id"]);
    let (_, other_function) = post(&kit, &json!({ "functionName": "other", "debounce": debounce })).await;
    assert_ne!(other_function["id"], first["id"]);

    let why = kit.ask(&format!("GET /tasklane/v1/tasks/{}/why", first["id"].as_str().unwrap()), MAY, "").await.json();
    assert_eq!((&why["reason"], &why["details"]["until"]), (&json!("debounce"), &second["startTimestamp"]));

    let id = first["id"].as_str().unwrap().parse().unwrap();
    let done = kit.world.finished(id).await;
    assert_eq!(done.status, TaskStatus::Complete);
    let calls = kit.world.lambda.calls();
    let of_first: Vec<_> = calls.iter().filter(|call| call.correlation == id).collect();
    assert_eq!(of_first.len(), 1);
    assert_eq!((&of_first[0].event["data"], of_first[0].at >= done.start_timestamp), (&json!({ "n": 2 }), true));

    // The claim has freed the key.
    let next = create(&kit, json!({ "n": 4 }), debounce).await;
    assert_ne!(next["id"], first["id"]);
    assert_eq!(delay(&next), 5.0);
}

#[tokio::test(start_paused = true)]
async fn the_start_is_never_put_off_past_the_most_of_the_first_creation() {
    let kit = kit().await;
    let first = create(&kit, json!(0), json!({ "key": "k", "seconds": 4, "maxSeconds": 6 })).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Its own most would allow more.
    let second = create(&kit, json!(1), json!({ "key": "k", "seconds": 4, "maxSeconds": 600 })).await;
    assert_eq!((&second["id"], delay(&second)), (&first["id"], 6.0));
    tokio::time::sleep(Duration::from_millis(3500)).await;
    let third = create(&kit, json!(2), json!({ "key": "k", "seconds": 4, "maxSeconds": 6 })).await;
    assert_ne!(third["id"], first["id"]);
}

#[tokio::test(start_paused = true)]
async fn appended_data_is_an_array_in_order_with_each_digit() {
    let kit = kit().await;
    let append = r#""debounce": {"key": "k", "seconds": 5, "mode": "append"}"#;
    let mut answered = String::new();
    for data in ["1.50", r#"{"a":[1E3]}"#, "9007199254740993"] {
        let body = format!(r#"{{"functionName": "index", "data": {data}, {append}}}"#);
        answered = kit.ask("POST /tasks/v1", MAY, body).await.text;
    }
    assert!(answered.contains(r#""data":[1.50,{"a":[1E3]},9007199254740993]"#), "{answered}");
}

#[tokio::test(start_paused = true)]
async fn large_data_is_appended_up_to_the_limit_and_not_beyond() {
    let kit = kit().await;
    let debounce = json!({ "key": "k", "seconds": 5, "mode": "append" });
    let part = Value::from("x".repeat(100 * 1024));
    let first = create(&kit, part.clone(), debounce.clone()).await;
    let second = create(&kit, part.clone(), debounce.clone()).await;
    assert_eq!((&second["id"], second["data"].as_array().unwrap().len()), (&first["id"], 2));
    let (status, refused) = post(&kit, &body(&part, &debounce)).await;
    assert_eq!((status, &refused["code"]), (400, &json!(15)), "{refused}");
    let id = first["id"].as_str().unwrap();
    let now = kit.ask(&format!("GET /tasklane/v1/tasks/{id}"), MAY, "").await.json();
    assert_eq!((&now["data"], &now["startTimestamp"]), (&second["data"], &second["startTimestamp"]));
}

#[tokio::test(start_paused = true)]
async fn many_at_once_make_one_task_with_everything() {
    let kit = kit().await;
    let calls = (0..20).map(|n| create(&kit, json!(n), json!({ "key": "k", "seconds": 5, "mode": "append" })));
    let tasks = futures::future::join_all(calls).await;
    assert!(tasks.iter().all(|task| task["id"] == tasks[0]["id"]), "{tasks:?}");
    let id = tasks[0]["id"].as_str().unwrap().parse().unwrap();
    let data: Value = serde_json::from_str(kit.world.get(id).await.data.unwrap().as_str()).unwrap();
    let mut numbers: Vec<u64> = data.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_and_the_deletion_of_the_function_free_the_key() {
    let kit = kit().await;
    let debounce = json!({ "key": "k", "seconds": 60 });
    let first = create(&kit, json!(1), debounce.clone()).await;
    let cancel = format!("POST /tasks/v1/{}/cancel", first["id"].as_str().unwrap());
    assert_eq!(kit.ask(&cancel, MAY, "").await.status.as_u16(), 200);
    let second = create(&kit, json!(2), debounce.clone()).await;
    assert_ne!(second["id"], first["id"]);
    kit.world.service.delete_function("index").await.unwrap();
    let (status, answer) = post(&kit, &body(&json!(3), &debounce)).await;
    assert_eq!((status, &answer["code"]), (404, &json!(16)), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn what_contradicts_or_breaks_a_rule_is_refused() {
    let kit = kit().await;
    let ok = json!({ "key": "k", "seconds": 5 });
    let with = |field: &str, value: Value| {
        let mut changed = ok.clone();
        changed[field] = value;
        body(&json!(1), &changed)
    };
    let beside = |field: &str, value: Value| {
        let mut changed = body(&json!(1), &ok);
        changed[field] = value;
        changed
    };
    let format = [
        with("key", json!("")),
        with("key", json!("x".repeat(256))),
        with("key", json!(7)),
        with("key", Value::Null),
        with("seconds", json!(0)),
        with("seconds", json!(86_401)),
        with("seconds", json!("5")),
        with("seconds", Value::Null),
        with("maxSeconds", json!(0)),
        with("mode", json!("merge")),
        body(&json!(1), &json!("k")),
        body(&json!(1), &json!([])),
    ];
    for (wrong, allowed) in format.iter().map(|wrong| (wrong, [15, 14])) {
        let (status, answer) = post(&kit, wrong).await;
        assert!(status == 400 && allowed.contains(&answer["code"].as_i64().unwrap()), "{wrong}: {answer}");
    }
    let contradictions = [
        with("maxSeconds", json!(4)),
        beside("startTimestamp", json!("2030-01-01T00:00:00Z")),
        beside("idempotencyKey", json!("once")),
    ];
    for wrong in contradictions {
        let (status, answer) = post(&kit, &wrong).await;
        assert_eq!((status, &answer["code"]), (400, &json!(26)), "{wrong}: {answer}");
    }
    assert!(kit.world.all_tasks().await.is_empty(), "something was created");
}
