//! Turns by key, as callers ask for them (contract §14).

use serde_json::{Value, json};
use tasklane_service::FunctionOptions;

use super::kit::Kit;

const MAY: &str = "may CREATE_TASKS,VIEW_TASKS,UPDATE_TASK_FUNCTION,VIEW_TASK_FUNCTION_DETAILS";
const FLOW: &str = "/tasklane/v1/functions/f/flow";

async fn kit() -> Kit {
    let kit = Kit::new().await;
    kit.world.function("f", FunctionOptions::default()).await;
    kit
}

async fn flow_of(kit: &Kit) -> Value {
    kit.ask("GET /tasks/v1/functions/f", MAY, "").await.json()["flow"].clone()
}

#[tokio::test]
async fn a_flow_is_set_replaced_and_removed() {
    let kit = kit().await;
    assert_eq!(flow_of(&kit).await, Value::Null);
    let whole = json!({ "key": "data.a", "concurrent": 2, "rate": { "count": 3, "seconds": 60 } });
    for (request, body, then) in [
        (format!("PUT {FLOW}"), whole.clone(), whole.clone()),
        (format!("PUT {FLOW}"), json!({ "key": "data" }), json!({ "key": "data" })),
        (format!("DELETE {FLOW}"), json!({}), Value::Null),
        ("PUT /tasks/v1/functions/f".to_owned(), json!({ "flow": whole }), whole),
        ("PUT /tasks/v1/functions/f".to_owned(), json!({ "timeLimit": 7 }), flow_of(&kit).await),
    ] {
        let answered = kit.ask(&request, MAY, body.to_string()).await;
        assert_eq!(answered.json()["affectedRecords"], 1, "{request} {body}: {}", answered.text);
        if body.get("timeLimit").is_none() {
            assert_eq!(flow_of(&kit).await, then, "{request} {body}");
        }
    }
    assert!(flow_of(&kit).await.is_object(), "an update without it took it away");
    kit.ask("PUT /tasks/v1/functions/f", MAY, r#"{"flow":null}"#).await;
    assert_eq!(flow_of(&kit).await, Value::Null);
}

#[tokio::test]
async fn a_wrong_flow_is_refused_and_changes_nothing() {
    let kit = kit().await;
    for (body, code, named) in [
        (json!({}), 14, "'key'"),
        (json!({ "key": "tenant" }), 15, "'key'"),
        (json!({ "key": "data.", "concurrent": 1 }), 15, "'key'"),
        (json!({ "key": 7 }), 15, "'key'"),
        (json!({ "key": "data", "concurrent": 0 }), 15, "'concurrent'"),
        (json!({ "key": "data", "concurrent": 101 }), 15, "'concurrent'"),
        (json!({ "key": "data", "concurrent": "1" }), 15, "'concurrent'"),
        (json!({ "key": "data", "rate": 7 }), 15, "'rate'"),
        (json!({ "key": "data", "rate": {} }), 14, "'rate.count'"),
        (json!({ "key": "data", "rate": { "count": 1 } }), 14, "'rate.seconds'"),
        (json!({ "key": "data", "rate": { "count": 0, "seconds": 1 } }), 15, "'rate.count'"),
        (json!({ "key": "data", "rate": { "count": 1, "seconds": 86_401 } }), 15, "'rate.seconds'"),
    ] {
        let answered = kit.ask(&format!("PUT {FLOW}"), MAY, body.to_string()).await;
        assert_eq!(answered.code(), code, "{body}: {}", answered.text);
        assert!(answered.text.contains(named), "{body}: {}", answered.text);
        let nested = kit.ask("PUT /tasks/v1/functions/f", MAY, json!({ "flow": body }).to_string()).await;
        assert_eq!(nested.code(), code, "{body}: {}", nested.text);
        assert!(nested.text.contains("'flow."), "{body}: {}", nested.text);
        assert_eq!(flow_of(&kit).await, Value::Null);
    }
    assert_eq!(kit.ask("PUT /tasklane/v1/functions/none/flow", MAY, r#"{"key":"data"}"#).await.code(), 16);
    assert_eq!(kit.ask("GET /tasklane/v1/functions/none/flow", MAY, "").await.code(), 16);
    assert_eq!(kit.ask(&format!("GET {FLOW}?sort(key)"), MAY, "").await.code(), 19);
}

#[tokio::test]
async fn a_task_may_bring_its_key_along_as_text() {
    let kit = kit().await;
    for (given, stored) in [(json!("k"), "k"), (json!(5.0), "5"), (json!(true), "true"), (json!("ü"), "ü")] {
        let body = json!({ "functionName": "f", "flowKey": given }).to_string();
        let task = kit.ask("POST /tasks/v1", MAY, body).await.json();
        assert_eq!(task["flowKey"], stored);
    }
    for wrong in [json!(""), json!({}), json!([1]), json!("ü".repeat(128))] {
        let answered =
            kit.ask("POST /tasks/v1", MAY, json!({ "functionName": "f", "flowKey": wrong }).to_string()).await;
        assert_eq!(answered.code(), 15, "{wrong}: {}", answered.text);
        assert!(answered.text.contains("'flowKey'"), "{}", answered.text);
    }
}

#[tokio::test(start_paused = true)]
async fn busy_keys_are_listed_filtered_and_cut() {
    let kit = kit().await;
    kit.ask(&format!("PUT {FLOW}"), MAY, r#"{"key":"data.t","concurrent":1}"#).await;
    kit.world.lambda.take("f", std::time::Duration::from_secs(60));
    kit.world.start();
    for (tenant, count) in [("a", 3), ("b", 1), ("c", 2)] {
        for _ in 0..count {
            let body = json!({ "functionName": "f", "data": { "t": tenant } }).to_string();
            assert_eq!(kit.ask("POST /tasks/v1", MAY, body).await.status, 200);
        }
    }
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let list = async |rql: &str| {
        let page = kit.ask(&format!("GET {FLOW}?{rql}"), MAY, "").await.json();
        let keys = page["data"].as_array().unwrap().iter().map(|state| state["key"].as_str().unwrap().to_owned());
        (keys.collect::<Vec<_>>(), page["page"]["total"].clone())
    };
    assert_eq!(list("").await, (vec!["a".to_owned(), "c".to_owned(), "b".to_owned()], json!(3)));
    assert_eq!(list("gt(waiting,1)").await, (vec!["a".to_owned()], json!(1)));
    assert_eq!(list("limit(1,1)").await, (vec!["c".to_owned()], json!(3)));
}
