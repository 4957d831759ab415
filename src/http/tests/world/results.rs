//! Results of Tasks, and waiting for them.

use std::time::Duration;

use serde_json::{Value, json};
use tasklane_model::RetryPolicyChange;
use tasklane_service::FunctionOptions;
use tasklane_testing::TestLambda;

use super::kit::{Answered, Kit};

const MAY: &str = "may CREATE_TASKS,VIEW_TASKS,EXECUTE_TASK_FUNCTION,UPDATE_TASK_FUNCTION,VIEW_TASK_FUNCTION_DETAILS";

/// A service whose Function `hello` takes a second and returns `{"n": 1.50}`.
async fn kit(options: FunctionOptions) -> Kit {
    let kit = Kit::new().await;
    kit.world.function("hello", options).await;
    returning(&kit, r#"{"n": 1.50}"#);
    kit.world.start();
    kit
}

fn returning(kit: &Kit, json: &str) {
    let json = json.to_owned();
    kit.world.lambda.behave("hello", move |_| {
        let answer = TestLambda::returned(&json);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(answer)
        }
    });
}

async fn create(kit: &Kit, fields: Value) -> String {
    let mut body = json!({ "functionName": "hello" });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let answered = kit.ask("POST /tasks/v1", MAY, body.to_string()).await;
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.text);
    answered.json()["id"].as_str().unwrap().to_owned()
}

async fn get(kit: &Kit, path: &str) -> Answered {
    kit.ask(&format!("GET /tasklane/v1/tasks/{path}"), MAY, "").await
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_until_the_task_has_ended_and_not_longer() {
    let kit = kit(FunctionOptions::default()).await;
    let id = create(&kit, json!({})).await;
    let began = kit.world.now();
    assert_eq!(get(&kit, &format!("{id}?wait=25")).await.json()["status"], "complete");
    let waited = kit.world.now().since(began);
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(3), "{waited:?}");
    assert_eq!(get(&kit, &id).await.json()["status"], "complete");

    let later = create(&kit, json!({ "startTimestamp": "2027-01-01T00:00:00Z" })).await;
    for (query, seconds) in [("", 0), ("?wait=0", 0), ("?wait=7", 7), ("?x=y&wait=25", 25)] {
        let began = kit.world.now();
        assert_eq!(get(&kit, &format!("{later}{query}")).await.json()["status"], "new");
        assert_eq!(kit.world.now().since(began).as_secs(), seconds, "{query}");
    }
    for wrong in ["26", "-1", "1.5", "", "x", "1000"] {
        let refused = get(&kit, &format!("{later}?wait={wrong}")).await;
        assert_eq!((refused.code(), refused.text.contains("'wait'")), (15, true), "{}", refused.text);
    }
    assert_eq!(get(&kit, "697db9a2c5f0a1b2c3d4e5f6?wait=1").await.code(), 16);
    assert_eq!(get(&kit, "nonsense?wait=1").await.code(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_kept_if_the_task_or_else_its_function_says_so() {
    let kit = kit(FunctionOptions::default()).await;
    let has_result = async |fields: Value| {
        let id = create(&kit, fields).await;
        assert_eq!(get(&kit, &format!("{id}/result")).await.code(), 16, "it has not run");
        let task = get(&kit, &format!("{id}?wait=25")).await.json();
        let answered = get(&kit, &format!("{id}/result")).await;
        if answered.code() == 0 {
            assert_eq!((answered.text.as_str(), answered.status.as_u16()), (r#"{"n": 1.50}"#, 200));
        } else {
            assert_eq!((answered.code(), answered.text.contains("storeResult")), (16, true), "{}", answered.text);
        }
        (answered.code() == 0, task)
    };
    let (kept, task) = has_result(json!({})).await;
    assert!(!kept && task["storeResult"].is_null(), "{task}");
    let (kept, task) = has_result(json!({ "storeResult": true })).await;
    assert!(kept && task["storeResult"] == true, "{task}");

    let set = async |value: Value| {
        let body = json!({ "storeResult": value }).to_string();
        assert_eq!(kit.ask("PUT /tasks/v1/functions/hello", MAY, body).await.code(), 0);
        kit.world.clock.jump(5);
        kit.ask("GET /tasks/v1/functions/hello", MAY, "").await.json()["storeResult"].clone()
    };
    assert_eq!(set(json!(true)).await, json!(true));
    assert!(has_result(json!({})).await.0);
    assert!(!has_result(json!({ "storeResult": false })).await.0);
    let executed = kit.ask("POST /tasks/v1/functions/hello/execute", MAY, "").await.json();
    assert_eq!(get(&kit, &format!("{}/result", executed["id"].as_str().unwrap())).await.code(), 0);
    assert_eq!(kit.ask("PUT /tasks/v1/functions/hello", MAY, r#"{"timeLimit":20}"#).await.code(), 0);
    assert!(has_result(json!({})).await.0, "an update that does not name the option leaves it");
    assert_eq!(set(Value::Null).await, Value::Null);
    assert!(!has_result(json!({})).await.0);
    for wrong in [json!("true"), json!(1), json!({})] {
        let body = json!({ "functionName": "hello", "storeResult": wrong }).to_string();
        assert_eq!(kit.ask("POST /tasks/v1", MAY, body.clone()).await.code(), 15, "{body}");
        assert_eq!(kit.ask("PUT /tasks/v1/functions/hello", MAY, body.clone()).await.code(), 15, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_result_of_a_chain_belongs_to_its_last_task() {
    let retry_policy = Some(RetryPolicyChange { enabled: true, ..RetryPolicyChange::default() });
    let kit = kit(FunctionOptions { retry_policy, ..FunctionOptions::default() }).await;
    kit.world.lambda.behave("hello", |call| async move {
        let is_retry = call.event["retryForTaskIds"].is_array();
        Ok(if is_retry { TestLambda::returned("\"second\"") } else { TestLambda::threw("Boom") })
    });
    let id = create(&kit, json!({ "storeResult": true })).await;
    let first = get(&kit, &format!("{id}?wait=25")).await.json();
    let next = first["retriedByTaskId"].as_str().unwrap();
    let second = get(&kit, &format!("{next}?wait=25")).await.json();
    assert_eq!((&second["status"], &second["storeResult"]), (&json!("complete"), &json!(true)));
    assert_eq!(get(&kit, &format!("{next}/result")).await.text, "\"second\"");
    let none = get(&kit, &format!("{id}/result")).await;
    assert_eq!((none.code(), none.text.contains("retried")), (16, true), "{}", none.text);
}

#[tokio::test(start_paused = true)]
async fn a_large_result_is_an_object_and_a_very_large_one_has_a_url() {
    let kit = kit(FunctionOptions { store_result: Some(Some(true)), ..FunctionOptions::default() }).await;
    *kit.world.objects.have_urls.lock() = true;
    for (bytes, status) in [(350 * 1024, 200), (350 * 1024 + 1, 200), (3 << 20, 200), ((3 << 20) + 1, 303)] {
        let json = format!("\"{}\"", "x".repeat(bytes - 2));
        returning(&kit, &json);
        let id = create(&kit, json!({})).await;
        assert_eq!(get(&kit, &format!("{id}?wait=25")).await.json()["status"], "complete");
        let answered = get(&kit, &format!("{id}/result")).await;
        assert_eq!(answered.status.as_u16(), status, "{bytes}");
        match status {
            303 => {
                let url = answered.headers["location"].to_str().unwrap();
                assert!(url.starts_with("https://objects.example.com/kept/"), "{url}");
                assert_eq!(answered.headers["cache-control"], "no-store");
                *kit.world.objects.have_urls.lock() = false;
                assert!(get(&kit, &format!("{id}/result")).await.text == json, "without a server for objects");
            }
            _ => assert!(answered.text == json, "{bytes}"),
        }
    }
    *kit.world.objects.refuses.lock() = true;
    let id = create(&kit, json!({})).await;
    assert_eq!(get(&kit, &format!("{id}?wait=25")).await.json()["status"], "complete", "the result fails nothing");
    assert_eq!(get(&kit, &format!("{id}/result")).await.code(), 16);
}
