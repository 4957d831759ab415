//! Calls with idempotency keys.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use tasklane_model::{
    BodyDigest, Caller, FunctionName, IdempotencyKey, Identity, NewTask, Once, Permissions, RetryPolicyChange, Tags,
    TaskOptions, UserId,
};
use tasklane_service::FunctionOptions;

use super::kit::{Answered, Kit};

const TASKS: &str = "POST /tasks/v1";
const SCHEDULES: &str = "POST /tasks/v1/schedules";
const EVERYTHING: &str = "may CREATE_TASKS,CREATE_TASK_SCHEDULE,DELETE_TASK_SCHEDULE";

async fn kit() -> Kit {
    let kit = Kit::new().await;
    kit.world.function("hello", FunctionOptions::default()).await;
    kit
}

async fn keyed(kit: &Kit, target: &str, key: &str, body: &str) -> Answered {
    kit.ask_with(target, &[("authorization", EVERYTHING), ("idempotency-key", key)], body.to_owned()).await
}

fn id(answered: &Answered) -> String {
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.text);
    answered.json()["id"].as_str().unwrap().to_owned()
}

fn is_replay(answered: &Answered) -> bool {
    answered.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn the_same_body_gets_the_same_task_however_it_is_written_and_another_body_1501() {
    let kit = kit().await;
    let first = keyed(&kit, TASKS, "k", r#"{"functionName":"hello","data":{"n":1,"m":[2.5]}}"#).await;
    assert!(!is_replay(&first));
    let again = r#" { "data" : {"m": [25e-1], "n":1.0}, "function\u004eame":"hello", "idempotencyKey":"k" }"#;
    let second = keyed(&kit, TASKS, "", again).await;
    assert_eq!((id(&second), is_replay(&second)), (id(&first), true));
    assert_eq!(second.json(), first.json());
    for other in [
        r#"{"functionName":"hello","data":{"n":2,"m":[2.5]}}"#,
        r#"{"functionName":"hello","data":{"n":1,"m":[2.5]},"priority":0}"#,
        r#"{"functionName":"hello","data":{"n":1,"m":[2.5]},"priority":null}"#,
        r#"{"functionName":"hello"}"#,
    ] {
        let refused = keyed(&kit, TASKS, "k", other).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, 1501), "{other}");
    }
    assert_eq!(kit.world.all_tasks().await.len(), 1);
    assert_ne!(id(&keyed(&kit, TASKS, "K", again.replace(":\"k\"", ":\"K\"").as_str()).await), id(&first));
}

#[tokio::test]
async fn a_key_that_breaks_its_rule_is_refused_and_nothing_is_created() {
    let kit = kit().await;
    let body = |key: Value| json!({ "functionName": "hello", "interval": 60, "idempotencyKey": key }).to_string();
    let long = "é".repeat(256);
    for target in [TASKS, SCHEDULES] {
        for key in [json!(""), json!(long), json!(1), json!(["a"]), json!({}), json!(true)] {
            let refused = keyed(&kit, target, "", &body(key.clone())).await;
            assert_eq!(refused.code(), 15, "{key}: {}", refused.text);
            assert!(refused.text.contains("'idempotencyKey'"), "{}", refused.text);
        }
        let no_key = json!({ "functionName": "hello", "interval": 60 }).to_string();
        assert_eq!(keyed(&kit, target, &"a".repeat(256), &no_key).await.code(), 15);
        let twice = [("authorization", EVERYTHING), ("idempotency-key", "a"), ("idempotency-key", "a")];
        assert_eq!(kit.ask_with(target, &twice, no_key).await.code(), 15);
        assert_eq!(keyed(&kit, target, "a", &body(json!("b"))).await.code(), 26);
        assert_eq!(keyed(&kit, target, "a", &body(json!("a"))).await.code(), 0);
        assert_eq!(keyed(&kit, target, "", &body(json!("é".repeat(255)))).await.code(), 0);
        // `null` is no key.
        assert!(!is_replay(&keyed(&kit, target, "", &body(Value::Null)).await));
        assert!(!is_replay(&keyed(&kit, target, "", &body(Value::Null)).await));
    }
    assert_eq!(kit.world.all_tasks().await.len(), 2 * 4, "4 tasks, and the first one of each of 4 schedules");
}

#[tokio::test]
async fn a_key_is_forgotten_after_24_hours_and_not_before() {
    let kit = kit().await;
    let body = r#"{"functionName":"hello"}"#;
    let first = id(&keyed(&kit, TASKS, "k", body).await);
    kit.world.clock.jump(24 * 60 * 60 - 5);
    assert_eq!(id(&keyed(&kit, TASKS, "k", body).await), first);
    kit.world.clock.jump(8);
    let later = keyed(&kit, TASKS, "k", body).await;
    assert!(id(&later) != first && !is_replay(&later));
    assert_eq!(id(&keyed(&kit, TASKS, "k", body).await), id(&later));
}

#[tokio::test]
async fn permissions_are_checked_before_the_key() {
    let kit = kit().await;
    let body = r#"{"functionName":"hello"}"#;
    id(&keyed(&kit, TASKS, "k", body).await);
    for (who, code) in [("may VIEW_TASKS", 10), ("", 104)] {
        let headers = [("authorization", who), ("idempotency-key", "k")];
        assert_eq!(kit.ask_with(TASKS, &headers, body).await.code(), code);
    }
}

#[tokio::test]
async fn only_calls_that_created_something_are_remembered() {
    let kit = kit().await;
    for (body, code) in [
        (json!({ "functionName": "later" }), 16),
        (json!({ "functionName": "hello", "priority": "high" }), 15),
        (json!({ "functionName": "hello", "data": "x".repeat(256 * 1024) }), 15),
        (json!({}), 14),
    ] {
        assert_eq!(keyed(&kit, TASKS, "k", &body.to_string()).await.code(), code);
    }
    kit.world.function("later", FunctionOptions::default()).await;
    let made = keyed(&kit, TASKS, "k", r#"{"functionName":"later","priority":1}"#).await;
    assert!(!is_replay(&made));
    assert_eq!(kit.world.all_tasks().await.len(), 1);
}

#[tokio::test]
async fn a_task_is_returned_as_it_is_now_even_without_its_function() {
    let kit = kit().await;
    let body = r#"{"functionName":"hello","startTimestamp":"2026-02-01T00:00:00Z"}"#;
    let first = id(&keyed(&kit, TASKS, "k", body).await);
    kit.world.service.cancel_task(first.parse().unwrap()).await.unwrap();
    kit.world.service.delete_function("hello").await.unwrap();
    // The service remembers a Function for two seconds.
    kit.world.clock.jump(5);
    let again = keyed(&kit, TASKS, "k", body).await;
    assert_eq!((id(&again), again.json()["status"].as_str()), (first, Some("canceled")));
    assert_eq!(keyed(&kit, TASKS, "k", r#"{"functionName":"hello"}"#).await.code(), 1501);
}

#[tokio::test(start_paused = true)]
async fn a_retried_task_is_returned_and_not_its_retry() {
    let kit = Kit::new().await;
    let retry_policy = Some(RetryPolicyChange::every_error());
    kit.world.function("fails", FunctionOptions { retry_policy, ..FunctionOptions::default() }).await;
    kit.world.lambda.throw("fails", "Boom");
    kit.world.start();
    let body = r#"{"functionName":"fails"}"#;
    let first = id(&keyed(&kit, TASKS, "k", body).await);
    kit.world.finished(first.parse().unwrap()).await;
    let again = keyed(&kit, TASKS, "k", body).await;
    assert_eq!((id(&again), again.json()["status"].as_str()), (first, Some("retried")));
    assert!(again.json()["retriedByTaskId"].is_string());
}

#[tokio::test]
async fn a_hundred_calls_at_once_make_one_record() {
    let kit = kit().await;
    for (target, body) in [
        (TASKS, json!({ "functionName": "hello", "data": "x".repeat(5000) })),
        (SCHEDULES, json!({ "functionName": "hello", "interval": 60, "startTimestamp": "2026-02-01T00:00:00Z" })),
    ] {
        let body = body.to_string();
        let answered = join_all((0..100).map(|_| keyed(&kit, target, "k", &body))).await;
        assert_eq!(answered.iter().map(id).collect::<BTreeSet<_>>().len(), 1, "{target}");
        assert_eq!(answered.iter().filter(|answered| !is_replay(answered)).count(), 1, "{target}");
    }
    assert_eq!(kit.world.all_tasks().await.len(), 1);
}

#[tokio::test]
async fn a_call_that_broke_off_after_its_intent_is_finished_with_the_same_values() {
    let kit = kit().await;
    let body = json!({ "functionName": "hello", "data": "x".repeat(5000) }).to_string();
    // The data is the first write after the intent, the Task the second.
    for (key, part) in [("a", "data:"), ("b", "\"laneKey\"")] {
        kit.world.database.refuse(move |operation, body| operation == "PutItem" && body.contains(part));
        assert_eq!(keyed(&kit, TASKS, key, &body).await.code(), 1);
        assert_eq!(kit.world.all_tasks().await.len(), usize::from(key == "b"));
        kit.world.database.refuse(|_, _| false);
        let begun = kit.world.now();
        kit.world.clock.jump(60);
        let finished = keyed(&kit, TASKS, key, &body).await;
        assert!(is_replay(&finished));
        let task = kit.world.get(id(&finished).parse().unwrap()).await;
        assert!(task.creation_timestamp <= begun && task.start_timestamp <= begun, "{task:?}");
        assert_eq!(task.id.time(), task.creation_timestamp);
        assert_eq!(id(&keyed(&kit, TASKS, key, &body).await), id(&finished));
    }
}

#[tokio::test]
async fn a_schedule_that_was_deleted_is_not_created_again() {
    let kit = kit().await;
    let body = r#"{"functionName":"hello","interval":60}"#;
    let first = keyed(&kit, SCHEDULES, "k", body).await;
    let again = keyed(&kit, SCHEDULES, "k", body).await;
    assert_eq!((id(&again), is_replay(&again)), (id(&first), true));
    assert_eq!(keyed(&kit, SCHEDULES, "k", r#"{"functionName":"hello","interval":61}"#).await.code(), 1501);
    let delete = format!("DELETE /tasks/v1/schedules/{}", id(&first));
    assert_eq!(kit.ask(&delete, EVERYTHING, "").await.code(), 0);
    assert_eq!(keyed(&kit, SCHEDULES, "k", body).await.code(), 16);
    assert_eq!(kit.world.all_tasks().await.len(), 1, "the first occurrence");
    // A key belongs to an endpoint.
    assert!(!is_replay(&keyed(&kit, TASKS, "k", body).await));
}

#[tokio::test]
async fn a_key_belongs_to_a_user_and_an_application() {
    let kit = kit().await;
    let mut ids = BTreeSet::new();
    for (user, application) in [("ada", None), ("ada", Some("app")), ("bob", None), ("ad", Some("a"))] {
        let identity = Identity {
            user_id: UserId::parse(user).unwrap(),
            application_id: application.map(|id| tasklane_model::ApplicationId::parse(id).unwrap()),
            permissions: Permissions::default(),
        };
        let new = NewTask {
            function_name: FunctionName::parse("hello").unwrap(),
            data: None,
            start_timestamp: None,
            priority: None,
            tags: Tags::default(),
            options: TaskOptions::default(),
        };
        let once = Once { key: IdempotencyKey::parse("k").unwrap(), body: BodyDigest::of("{}") };
        let made = kit.world.service.create_task_once(&Caller::User(identity.into()), new, Some(&once)).await.unwrap();
        ids.insert(made.record.id);
    }
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn pages_of_other_origins_may_read_whether_it_is_a_replay() {
    let config = tasklane_http::HttpConfig { cors: tasklane_http::CorsOrigins::Any, ..Default::default() };
    let kit = Kit::with(config).await;
    let answered = kit.ask_with("GET /healthz", &[("origin", "https://example.com")], "").await;
    let exposed = answered.headers["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("idempotent-replayed"), "{exposed}");
}
