//! The whole service at a glance: what it is doing now, and how runs ended.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tasklane_model::{Caller, ErrorKind, Flow, FunctionName, Json, NewTask, StatsRange, Timestamp};
use tasklane_service::FunctionOptions;
use tasklane_testing::TestLambda;
use tokio::sync::Notify;

use super::kit::Kit;

async fn overview(kit: &Kit) -> Value {
    kit.ask("GET /tasklane/v1/overview", "may VIEW_TASKS", "").await.json()
}

#[tokio::test]
async fn what_runs_and_waits_is_counted_by_function() {
    let kit = Kit::new().await;
    kit.world.function("hello", FunctionOptions::default()).await;
    kit.world.function("other", FunctionOptions::default()).await;
    let idle = overview(&kit).await;
    assert_eq!(
        idle,
        json!({
            "running": 0, "runningIsExact": true, "ready": 0, "readyIsExact": true, "waiting": 0, "waitingIsExact": true,
            "held": 0, "heldIsExact": true, "slots": { "used": 0, "limit": 5 }, "directSlots": { "used": 0, "limit": 5 },
            "dispatchers": 1, "functions": [],
        })
    );
    let due = kit.world.task("hello").await.start_timestamp;
    kit.world.task("hello").await;
    let later = kit.world.now().saturating_add(Duration::from_secs(60));
    let function = kit.world.task("other").await.function_name;
    let new = NewTask { start_timestamp: Some(later), ..NewTask::of(function) };
    kit.world.service.create_task(&Caller::Nobody, new).await.unwrap();
    let busy = overview(&kit).await;
    assert_eq!((&busy["ready"], &busy["waiting"], &busy["oldestDueTimestamp"]), (&json!(3), &json!(1), &json!(due)));
    assert_eq!(
        busy["functions"],
        json!([
            { "functionName": "hello", "running": 0, "ready": 2, "waiting": 0, "held": 0 },
            { "functionName": "other", "running": 0, "ready": 1, "waiting": 1, "held": 0 },
        ])
    );
}

#[tokio::test]
async fn a_task_in_progress_is_running_and_holds_a_slot() {
    let kit = Kit::new().await;
    kit.world.function("hello", FunctionOptions::default()).await;
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, released) = (Arc::clone(&begun), Arc::clone(&release));
    kit.world.lambda.behave("hello", move |_| {
        let (begins, released) = (Arc::clone(&begins), Arc::clone(&released));
        async move {
            begins.notify_one();
            released.notified().await;
            Ok(TestLambda::returned("1"))
        }
    });
    let id = kit.world.task("hello").await.id;
    kit.world.start();
    begun.notified().await;
    let busy = overview(&kit).await;
    assert_eq!((&busy["running"], &busy["ready"], &busy["slots"]["used"]), (&json!(1), &json!(0), &json!(1)));
    release.notify_one();
    kit.world.finished(id).await;
    assert_eq!(overview(&kit).await["running"], json!(0));
}

#[tokio::test(start_paused = true)]
async fn what_a_key_holds_back_is_neither_ready_nor_waiting() {
    let kit = Kit::new().await;
    let flow: Flow = serde_json::from_value(json!({ "key": "data.tenant", "concurrent": 1 })).unwrap();
    kit.world.function("hello", FunctionOptions { flow: Some(Some(flow)), ..FunctionOptions::default() }).await;
    kit.world.lambda.take("hello", Duration::from_secs(5));
    for _ in 0..8 {
        let data = Some(Json::from(json!({ "tenant": "a" })));
        let new = NewTask { data, ..NewTask::of(FunctionName::parse("hello").unwrap()) };
        kit.world.service.create_task(&Caller::Nobody, new).await.unwrap();
    }
    kit.world.start();
    let mut busy = Value::Null;
    while busy["running"] != json!(1) || busy["held"] == json!(0) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        busy = overview(&kit).await;
    }
    let sum: u64 = ["running", "ready", "held"].iter().map(|field| busy[field].as_u64().unwrap()).sum();
    assert_eq!((sum, &busy["waiting"]), (8, &json!(0)), "{busy}");
    assert_eq!(busy["functions"][0]["held"], busy["held"]);
}

#[tokio::test]
async fn a_range_that_makes_no_sense_is_refused() {
    let kit = Kit::new().await;
    for (query, code) in [
        ("step=30", 15),
        ("step=90", 15),
        ("step=0", 15),
        ("from=noon", 15),
        ("perFunction=maybe", 15),
        ("from=2026-01-31T08:00:00Z&to=2026-01-31T08:00:00Z", 26),
        ("from=2026-01-31T09:00:00Z&to=2026-01-31T08:00:00Z", 26),
        ("from=2020-01-01T00:00:00Z&to=2026-01-31T08:00:00Z", 26),
    ] {
        let answered = kit.ask(&format!("GET /tasklane/v1/stats?{query}"), "may VIEW_TASKS", "").await;
        assert_eq!(answered.code(), code, "{query}: {}", answered.text);
    }
    for query in ["", "?from=2026-01-31T08%3A00%3A00Z&to=2026-01-31T09:00:00Z&step=3600&perFunction=false"] {
        let answered = kit.ask(&format!("GET /tasklane/v1/stats{query}"), "may VIEW_TASKS", "").await;
        assert_eq!(
            (answered.status.as_u16(), &answered.json()["data"]),
            (200, &json!([])),
            "{query}: {}",
            answered.text
        );
    }
}

#[tokio::test]
async fn a_process_that_does_not_see_every_run_has_no_statistics() {
    let kit = Kit::new().await;
    let range =
        StatsRange { from: Timestamp::EPOCH, to: kit.world.now(), step: Duration::from_secs(60), per_function: true };
    let error = kit.world.without_streams().stats(range, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Endpoint);
}
