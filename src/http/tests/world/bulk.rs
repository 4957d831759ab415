//! Bulk operations over HTTP: who may, what is refused, and what is told.

use serde_json::{Value, json};
use tasklane_service::FunctionOptions;

use super::kit::{Answered, Kit};

const BULK: &str = "POST /tasklane/v1/bulk";

async fn kit() -> Kit {
    let kit = Kit::new().await;
    kit.world.function("hello", FunctionOptions::default()).await;
    kit
}

async fn create(kit: &Kit, may: &str, body: Value) -> Answered {
    kit.ask(BULK, &format!("may {may}"), body.to_string()).await
}

#[tokio::test]
async fn an_action_takes_the_permission_of_one_task_and_that_to_see_tasks() {
    let kit = kit().await;
    let actions = [
        (json!({ "action": "replay" }), "CREATE_TASKS", "CANCEL_TASKS"),
        (json!({ "action": "cancel" }), "CANCEL_TASKS", "CREATE_TASKS"),
        (json!({ "action": "retryNow" }), "CANCEL_TASKS", "CREATE_TASKS"),
        (json!({ "action": "reschedule", "startTimestamp": "2026-02-01T00:00:00Z" }), "CANCEL_TASKS", "CREATE_TASKS"),
        (json!({ "action": "setPriority", "priority": 1 }), "CANCEL_TASKS", "CREATE_TASKS"),
    ];
    for (mut body, needed, other) in actions {
        body["rql"] = json!("functionName=hello");
        for may in ["VIEW_TASKS".to_owned(), needed.to_owned(), format!("VIEW_TASKS,{other}")] {
            assert_eq!(create(&kit, &may, body.clone()).await.code(), 10, "{body} with {may}");
        }
        let created = create(&kit, &format!("VIEW_TASKS,{needed}"), body.clone()).await;
        let id = created.json()["id"].as_str().unwrap().to_owned();
        let stop = format!("DELETE /tasklane/v1/bulk/{id}");
        assert_eq!(kit.ask(&stop, "may VIEW_TASKS", "").await.code(), 10);
        let stopped = kit.ask(&stop, &format!("may VIEW_TASKS,{needed}"), "").await;
        assert_eq!(stopped.json(), json!({ "affectedRecords": 1 }));
        let stopped = kit.ask(&stop, &format!("may VIEW_TASKS,{needed}"), "").await;
        assert_eq!(stopped.json(), json!({ "affectedRecords": 0 }));
        let bulk = kit.ask(&format!("GET /tasklane/v1/bulk/{id}"), "may VIEW_TASKS", "").await.json();
        assert_eq!((&bulk["status"], &bulk["createdByUserId"]), (&json!("stopped"), &json!("ada")));
    }
}

#[tokio::test]
async fn each_field_that_is_wrong_has_its_error_and_nothing_is_created() {
    let kit = kit().await;
    let id = "697db9a2c5f0a1b2c3d4e5f6";
    let many: Vec<_> = (0..1001).map(|n| format!("{n:024x}")).collect();
    for (body, code) in [
        (json!({}), 14),
        (json!({ "action": "delete", "rql": "status=new" }), 15),
        (json!({ "action": "cancel" }), 26),
        (json!({ "action": "cancel", "rql": "" }), 26),
        (json!({ "action": "cancel", "rql": "?" }), 26),
        (json!({ "action": "cancel", "rql": "status=new", "ids": [id] }), 26),
        (json!({ "action": "cancel", "rql": "status=" , "data": 1 }), 26),
        (json!({ "action": "cancel", "rql": "status=new", "startTimestamp": "2026-02-01T00:00:00Z" }), 26),
        (json!({ "action": "retryNow", "rql": "status=new", "priority": 1 }), 26),
        (json!({ "action": "reschedule", "rql": "status=new" }), 14),
        (json!({ "action": "reschedule", "rql": "status=new", "startTimestamp": "soon" }), 15),
        (json!({ "action": "setPriority", "rql": "status=new" }), 14),
        (json!({ "action": "setPriority", "rql": "status=new", "priority": 1.5 }), 15),
        (json!({ "action": "cancel", "rql": "status=new&limit(5)" }), 19),
        (json!({ "action": "cancel", "rql": "status=new&sort(-id)" }), 19),
        (json!({ "action": "cancel", "rql": "eq(status" }), 19),
        (json!({ "action": "cancel", "rql": 1 }), 15),
        (json!({ "action": "cancel", "ids": [] }), 15),
        (json!({ "action": "cancel", "ids": many }), 15),
        (json!({ "action": "cancel", "ids": ["no id"] }), 15),
        (json!({ "action": "cancel", "ids": [id], "perSecond": 0 }), 15),
        (json!({ "action": "cancel", "ids": [id], "perSecond": 1001 }), 15),
        (json!({ "action": "cancel", "ids": [id], "dryRun": "yes" }), 15),
        (json!({ "action": "cancel", "ids": [id], "reason": "x".repeat(257) }), 15),
        (json!({ "action": "replay", "ids": [id], "data": "x".repeat(251 * 1024) }), 15),
    ] {
        let answered = create(&kit, "VIEW_TASKS,CREATE_TASKS,CANCEL_TASKS", body.clone()).await;
        assert_eq!(answered.code(), code, "{:.200}: {}", body.to_string(), answered.text);
    }
    let all = kit.ask("GET /tasklane/v1/bulk", "may VIEW_TASKS", "").await.json();
    assert_eq!(all["page"]["total"], 0);
    assert_eq!(kit.ask(&format!("GET /tasklane/v1/bulk/{id}"), "may VIEW_TASKS", "").await.code(), 16);
    let stop = format!("DELETE /tasklane/v1/bulk/{id}");
    assert_eq!(kit.ask(&stop, "may VIEW_TASKS,CANCEL_TASKS", "").await.code(), 16);
}

#[tokio::test]
async fn a_dry_run_counts_and_does_nothing() {
    let kit = kit().await;
    let task = kit.world.task("hello").await;
    let body = json!({ "action": "cancel", "rql": "functionName=hello", "dryRun": true });
    let counted = create(&kit, "VIEW_TASKS,CANCEL_TASKS", body).await.json();
    assert_eq!(counted, json!({ "matches": 1, "matchesIsExact": true }));
    kit.world.ticker.tick().await.unwrap();
    assert_eq!(kit.world.get(task.id).await.status.as_str(), "new");
}

#[tokio::test]
async fn only_so_many_operations_run_at_once() {
    let kit = kit().await;
    let body = json!({ "action": "cancel", "rql": "functionName=hello" });
    for _ in 0..20 {
        assert_eq!(create(&kit, "VIEW_TASKS,CANCEL_TASKS", body.clone()).await.status.as_u16(), 200);
    }
    assert_eq!(create(&kit, "VIEW_TASKS,CANCEL_TASKS", body.clone()).await.code(), 1505);
    kit.world.ticker.tick().await.unwrap();
    assert_eq!(create(&kit, "VIEW_TASKS,CANCEL_TASKS", body).await.status.as_u16(), 200);
    let page = kit.ask("GET /tasklane/v1/bulk?status=complete&limit(5)", "may VIEW_TASKS", "").await.json();
    assert_eq!((&page["page"]["total"], page["data"].as_array().unwrap().len()), (&json!(20), 5));
}
