//! Schemas of Functions (contract §24): what is refused at each door, and what is not.

use serde_json::{Value, json};
use tasklane_model::{Json, JsonSchema, TaskStatus};
use tasklane_service::FunctionOptions;

use super::kit::{Answered, Kit};

const MAY: &str = "may CREATE_TASKS,VIEW_TASKS,EXECUTE_TASK_FUNCTION,UPDATE_TASK_FUNCTION,VIEW_TASK_FUNCTION_DETAILS,CREATE_TASK_SCHEDULE,VIEW_TASK_SCHEDULES";

/// A service with the Function `mail`, whose data must have a whole number `n`, and `plain`, which takes anything.
async fn kit() -> Kit {
    let kit = Kit::new().await;
    let schema = json!({ "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } } });
    kit.world.function("mail", options(&schema)).await;
    kit.world.function("plain", FunctionOptions::default()).await;
    kit.world.start();
    kit
}

fn options(schema: &Value) -> FunctionOptions {
    let schema = JsonSchema::parse(&Json::of(schema).unwrap()).unwrap();
    FunctionOptions { data_schema: Some(Some(schema)), ..FunctionOptions::default() }
}

async fn ask(kit: &Kit, target: &str, body: Value) -> Answered {
    kit.ask(target, MAY, body.to_string()).await
}

async fn update(kit: &Kit, body: Value) -> Answered {
    ask(kit, "PUT /tasks/v1/functions/mail", body).await
}

const WRONG: &str = "The field 'data' does not fit the schema of the function 'mail': '/n' must be a whole number.";

#[track_caller]
fn is_refused(answered: &Answered, message: &str) {
    assert_eq!((answered.status.as_u16(), answered.code()), (400, 15), "{}", answered.text);
    assert_eq!(answered.json()["message"], message);
}

#[tokio::test(start_paused = true)]
async fn data_that_does_not_fit_is_refused_at_every_door() {
    let kit = kit().await;
    let wrong = json!({ "n": "a secret" });
    let recurring = json!({ "functionName": "mail", "interval": 60, "data": wrong });
    for (target, body) in [
        ("POST /tasks/v1", json!({ "functionName": "mail", "data": wrong })),
        ("POST /tasks/v1", json!({ "functionName": "mail", "data": wrong, "idempotencyKey": "k" })),
        ("POST /tasks/v1", json!({ "functionName": "mail", "data": wrong, "debounce": { "key": "k", "seconds": 5 } })),
        ("POST /tasks/v1/functions/mail/execute", json!({ "data": wrong })),
        ("POST /tasks/v1/functions/mail/execute", json!({ "data": wrong, "idempotencyKey": "k" })),
        ("POST /tasks/v1/schedules", recurring.clone()),
        ("POST /tasklane/v1/schedules", recurring.clone()),
        (
            "POST /tasklane/v1/schedules",
            json!({ "functionName": "mail", "interval": 60, "data": wrong, "idempotencyKey": "k" }),
        ),
    ] {
        is_refused(&ask(&kit, target, body.clone()).await, WRONG);
    }
    assert_eq!(kit.world.all_tasks().await.len(), 0, "nothing was created");
    // The same calls with data that fits, under the keys that the refused ones have not used up.
    for (target, body) in [
        ("POST /tasks/v1", json!({ "functionName": "mail", "data": { "n": 1 }, "idempotencyKey": "k" })),
        ("POST /tasks/v1/functions/mail/execute", json!({ "data": { "n": 1.0 }, "idempotencyKey": "k" })),
        (
            "POST /tasklane/v1/schedules",
            json!({ "functionName": "mail", "interval": 60, "data": { "n": 1 }, "idempotencyKey": "k" }),
        ),
    ] {
        let answered = ask(&kit, target, body).await;
        assert_eq!(answered.status.as_u16(), 200, "{}", answered.text);
    }
    // An API Function gets a request, and no data.
    let called = kit.ask("POST /tasks/v1/api/mail/x", "may EXECUTE_API_FUNCTION", "no JSON").await;
    assert_ne!(called.code(), 15, "{}", called.text);
}

#[tokio::test(start_paused = true)]
async fn absent_data_counts_as_null() {
    let kit = kit().await;
    let absent =
        "The field 'data' is absent, and does not fit the schema of the function 'mail': it must be an object.";
    is_refused(&ask(&kit, "POST /tasks/v1", json!({ "functionName": "mail" })).await, absent);
    is_refused(&kit.ask("POST /tasks/v1/functions/mail/execute", MAY, "").await, absent);
    let null = "The field 'data' does not fit the schema of the function 'mail': it must be an object.";
    is_refused(&ask(&kit, "POST /tasks/v1", json!({ "functionName": "mail", "data": null })).await, null);
    update(&kit, json!({ "dataSchema": { "type": ["object", "null"] } })).await;
    for body in [json!({ "functionName": "mail" }), json!({ "functionName": "mail", "data": null })] {
        assert_eq!(ask(&kit, "POST /tasks/v1", body).await.status.as_u16(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_a_batch_is_refused_alone_and_stays_refused() {
    let kit = kit().await;
    let entries = json!([
        { "functionName": "mail", "data": { "n": 1 } },
        { "functionName": "mail", "data": {} },
        { "functionName": "plain", "data": "anything" },
    ]);
    const BATCH: &str = "POST /tasklane/v1/tasks/batch";
    for key in [None, Some("k")] {
        let answered = ask(&kit, BATCH, json!({ "tasks": entries, "idempotencyKey": key })).await.json();
        let codes: Vec<_> = answered["data"].as_array().unwrap().iter().map(|one| one["code"].clone()).collect();
        assert_eq!(codes, [Value::Null, json!(15), Value::Null], "{answered}");
        assert!(answered["data"][1]["message"].as_str().unwrap().contains("must have the property 'n'"), "{answered}");
    }
    update(&kit, json!({ "dataSchema": true })).await;
    let again = ask(&kit, BATCH, json!({ "tasks": entries, "idempotencyKey": "k" })).await.json();
    assert_eq!(again["data"][1]["code"], 15, "{again}");
    // Without one, the data fits now.
    let now = ask(&kit, BATCH, json!({ "tasks": entries })).await.json();
    assert_eq!(now["data"][1]["status"], "new", "{now}");
}

#[tokio::test(start_paused = true)]
async fn each_creation_of_a_debounced_task_is_checked_alone() {
    let kit = kit().await;
    let create = |data: Value| {
        let debounce = json!({ "key": "k", "seconds": 5, "mode": "append" });
        ask(&kit, "POST /tasks/v1", json!({ "functionName": "mail", "data": data, "debounce": debounce }))
    };
    let first = create(json!({ "n": 1 })).await.json();
    is_refused(&create(json!({ "n": "x" })).await, WRONG);
    let second = create(json!({ "n": 2 })).await.json();
    assert_eq!((&second["id"], &second["data"]), (&first["id"], &json!([{ "n": 1 }, { "n": 2 }])));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_call_is_answered_whatever_the_schema_says_by_then() {
    let kit = kit().await;
    let body = json!({ "functionName": "mail", "data": { "n": 1 }, "idempotencyKey": "k" });
    let schedule = json!({ "functionName": "mail", "interval": 60, "data": { "n": 1 }, "idempotencyKey": "k" });
    let first = ask(&kit, "POST /tasks/v1", body.clone()).await.json();
    let first_schedule = ask(&kit, "POST /tasklane/v1/schedules", schedule.clone()).await.json();
    let executed =
        ask(&kit, "POST /tasks/v1/functions/mail/execute", json!({ "data": { "n": 1 }, "idempotencyKey": "k" })).await;
    update(&kit, json!({ "dataSchema": false })).await;
    assert_eq!(ask(&kit, "POST /tasks/v1", body.clone()).await.json()["id"], first["id"]);
    assert_eq!(ask(&kit, "POST /tasklane/v1/schedules", schedule).await.json()["id"], first_schedule["id"]);
    let again =
        ask(&kit, "POST /tasks/v1/functions/mail/execute", json!({ "data": { "n": 1 }, "idempotencyKey": "k" })).await;
    assert_eq!(again.json()["id"], executed.json()["id"], "{}", again.text);
    let other = json!({ "functionName": "mail", "data": { "n": 2 }, "idempotencyKey": "k" });
    assert_eq!(ask(&kit, "POST /tasks/v1", other).await.code(), 1501);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_is_checked_when_it_is_set_and_not_when_it_is_due() {
    let kit = kit().await;
    const ALL: &str = "/tasklane/v1/schedules";
    let body = json!({ "functionName": "mail", "interval": 60, "data": { "n": 1 } });
    let id = ask(&kit, &format!("POST {ALL}"), body).await.json()["id"].as_str().unwrap().to_owned();
    let (put, run) = (format!("PUT {ALL}/{id}"), format!("POST {ALL}/{id}/run"));
    let change = |body: Value| ask(&kit, &put, body);
    is_refused(&change(json!({ "data": { "n": true } })).await, WRONG);
    assert_eq!(ask(&kit, &put, json!({ "functionName": "plain", "data": 5 })).await.code(), 0);
    is_refused(
        &change(json!({ "functionName": "mail" })).await,
        "The field 'data' does not fit the schema of the function 'mail': it must be an object.",
    );
    change(json!({ "functionName": "mail", "data": { "n": 3 } })).await;
    update(&kit, json!({ "dataSchema": { "type": "string" } })).await;
    // What it says about other things may change nevertheless.
    assert_eq!(change(json!({ "interval": 30 })).await.code(), 0);
    assert_eq!(ask(&kit, &run, json!({})).await.code(), 15);
    let before = kit.world.all_tasks().await.len();
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    let tasks = kit.world.all_tasks().await;
    assert!(tasks.len() > before, "{before} {tasks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replay_passes_over_what_does_not_fit_any_more() {
    let kit = kit().await;
    let task = ask(&kit, "POST /tasks/v1", json!({ "functionName": "mail", "data": { "n": 1 } })).await.json();
    let id = task["id"].as_str().unwrap().to_owned();
    assert_eq!(kit.world.finished(id.parse().unwrap()).await.status, TaskStatus::Complete);
    let replay = async |data: Option<Value>| {
        let mut body = json!({ "action": "replay", "ids": [id] });
        if let Some(data) = data {
            body["data"] = data;
        }
        let bulk = ask(&kit, "POST /tasklane/v1/bulk", body).await.json()["id"].as_str().unwrap().to_owned();
        loop {
            let found = kit.ask(&format!("GET /tasklane/v1/bulk/{bulk}"), MAY, "").await.json();
            if found["status"] == "complete" {
                return (found["done"].clone(), found["skipped"].clone());
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let passed_over = (json!(0), json!([{ "reason": "doesNotFit", "count": 1 }]));
    assert_eq!(replay(None).await, (json!(1), json!([])));
    assert_eq!(replay(Some(json!("x"))).await, passed_over);
    update(&kit, json!({ "dataSchema": { "type": "string" } })).await;
    assert_eq!(replay(None).await, passed_over);
    assert_eq!(replay(Some(json!("x"))).await, (json!(1), json!([])));
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_task_is_not_checked() {
    let kit = kit().await;
    let body = json!({ "functionName": "plain", "onComplete": { "functionName": "mail", "data": 5 } });
    assert_eq!(ask(&kit, "POST /tasks/v1", body).await.code(), 0);
    loop {
        let tasks = kit.world.all_tasks().await;
        if tasks.values().any(|task| task["functionName"] == "mail") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_schema_is_kept_as_it_was_written_and_null_removes_it() {
    let kit = kit().await;
    let details = async || kit.ask("GET /tasks/v1/functions/mail", MAY, "").await;
    let body = r#"{"dataSchema": { "type" : "number", "maximum":1.0e2, "b":1 , "a": "x y" }, "resultSchema":true}"#;
    assert_eq!(kit.ask("PUT /tasks/v1/functions/mail", MAY, body).await.code(), 0);
    let text = details().await.text;
    assert!(
        text.contains(r#""dataSchema":{"type":"number","maximum":1.0e2,"b":1,"a":"x y"},"resultSchema":true"#),
        "{text}"
    );
    let versions = kit.ask("GET /tasklane/v1/functions/mail/versions", MAY, "").await.json();
    assert_eq!(versions["data"][0]["changed"], json!(["dataSchema", "resultSchema"]), "{versions}");
    // Without white space it is the same.
    update(
        &kit,
        json!({ "dataSchema": serde_json::from_str::<Value>(&body.replace("1.0e2", "1.0")).unwrap()["dataSchema"] }),
    )
    .await;
    let numbers = details().await.json()["version"].clone();
    update(&kit, json!({ "resultSchema": true })).await;
    assert_eq!(details().await.json()["version"], numbers);
    update(&kit, json!({ "dataSchema": null, "resultSchema": null })).await;
    let text = details().await.text;
    assert!(!text.contains("Schema"), "{text}");
    assert_eq!(ask(&kit, "POST /tasks/v1", json!({ "functionName": "mail", "data": "x" })).await.code(), 0);
    // A rollback brings it back.
    let back = ask(&kit, "POST /tasklane/v1/functions/mail/rollback", json!({ "to": 1 })).await;
    assert_eq!(back.code(), 0, "{}", back.text);
    is_refused(&ask(&kit, "POST /tasks/v1", json!({ "functionName": "mail", "data": { "n": "" } })).await, WRONG);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_schema_is_refused_with_its_place() {
    let kit = kit().await;
    let large = json!({ "title": "x".repeat(16 * 1024) });
    for (schema, message) in [
        (json!("data.schema.json"), "it must be an object, true or false"),
        (json!({ "properties": { "a": { "type": "strin" } } }), "'/properties/a/type' must be object, array, string"),
        (json!({ "$ref": "https://example.com/schema" }), "'/$ref' must begin with '#'"),
        (json!({ "$ref": "#" }), "refers to itself without going deeper"),
        (json!({ "pattern": "(?=a)" }), "'/pattern' must be a regular expression without look-around"),
        (large, "it takes 17 KB; at most 16 KB are allowed"),
    ] {
        for field in ["dataSchema", "resultSchema"] {
            let answered = update(&kit, json!({ field: schema })).await;
            assert_eq!(answered.code(), 15, "{}", answered.text);
            let said = answered.json()["message"].as_str().unwrap().to_owned();
            assert!(said.starts_with(&format!("The field '{field}' must be a JSON Schema: ")), "{said}");
            assert!(said.contains(message), "{said}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hostile_schema_cannot_hold_the_service_up() {
    let kit = kit().await;
    let tree = json!({ "$ref": "#/$defs/t", "$defs": { "t": { "type": "object", "oneOf": [
        { "required": ["q"], "properties": { "x": { "$ref": "#/$defs/t" } } },
        { "not": { "required": ["q"] }, "properties": { "x": { "$ref": "#/$defs/t" } } },
    ] } } });
    let deep = (0..90).fold(json!(1), |inner, _| json!({ "x": inner }));
    for (schema, data) in [
        (json!({ "pattern": "^(a+)+$" }), json!(format!("{}!", "a".repeat(200_000)))),
        (tree, deep),
        (json!({ "uniqueItems": true, "items": { "$ref": "#" } }), json!([[1], [1]])),
    ] {
        assert_eq!(update(&kit, json!({ "dataSchema": schema })).await.code(), 0);
        let answered = ask(&kit, "POST /tasks/v1", json!({ "functionName": "mail", "data": data })).await;
        assert_eq!(answered.code(), 15, "{}", answered.text);
        assert!(answered.text.len() < 1000, "{}", answered.text);
    }
}
