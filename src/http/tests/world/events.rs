//! The events that a Function asks for, over HTTP (contract §12).

use serde_json::{Value, json};
use tasklane_service::FunctionOptions;

use super::kit::Kit;

const MAY: &str = "may CREATE_TASKS,VIEW_TASKS,UPDATE_TASK_FUNCTION,VIEW_TASK_FUNCTION_DETAILS";

async fn update(kit: &Kit, events: Value) -> (u16, Value) {
    let body = json!({ "name": "told", "events": events }).to_string();
    let answered = kit.ask("PUT /tasks/v1/functions/told", MAY, body).await;
    (answered.status.as_u16(), answered.json())
}

async fn shown(kit: &Kit) -> Value {
    kit.ask("GET /tasks/v1/functions/told", MAY, "").await.json()["events"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_function_shows_its_events_and_so_do_its_tasks() {
    let kit = Kit::new().await;
    kit.world.function("told", FunctionOptions::default()).await;
    assert_eq!(shown(&kit).await, Value::Null);
    let create = || kit.ask("POST /tasks/v1", MAY, r#"{"functionName": "told"}"#);
    assert_eq!(create().await.json()["events"], Value::Null);

    let (status, answer) = update(&kit, json!(["task_completed", "task_started", "task_completed"])).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(shown(&kit).await, json!(["task_started", "task_completed"]));
    assert_eq!(create().await.json()["events"], json!(["task_started", "task_completed"]));

    for none in [json!([]), Value::Null] {
        update(&kit, json!(["task_retried"])).await;
        assert_eq!(update(&kit, none).await.0, 200);
        assert_eq!(shown(&kit).await, Value::Null);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_list_of_events_is_refused_and_changes_nothing() {
    let kit = Kit::new().await;
    kit.world.function("told", FunctionOptions::default()).await;
    update(&kit, json!(["task_canceled"])).await;
    for wrong in [json!("task_completed"), json!(["task_done"]), json!([1]), json!({}), json!([null]), json!(true)] {
        let (status, answer) = update(&kit, wrong.clone()).await;
        assert_eq!((status, &answer["code"]), (400, &json!(15)), "{wrong}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains("'events'"), "{answer}");
    }
    assert_eq!(shown(&kit).await, json!(["task_canceled"]));
}
