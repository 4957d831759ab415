//! `/tasklane/v1/schedules` (contract §15).

use serde_json::{Value, json};
use tasklane_service::FunctionOptions;

use super::kit::{Answered, Kit};

const MAY: &str = "may VIEW_TASK_SCHEDULES,CREATE_TASK_SCHEDULE,DELETE_TASK_SCHEDULE";
const ALL: &str = "/tasklane/v1/schedules";

async fn kit() -> Kit {
    let kit = Kit::new().await;
    kit.world.function("hello", FunctionOptions::default()).await;
    kit
}

async fn ask(kit: &Kit, target: &str, body: Value) -> Answered {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    kit.ask(target, MAY, body).await
}

async fn create(kit: &Kit, body: Value) -> Value {
    let answered = ask(kit, &format!("POST {ALL}"), body).await;
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.text);
    answered.json()
}

/// A response that must succeed.
fn ok(answered: &Answered) -> Value {
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.text);
    answered.json()
}

#[tokio::test]
async fn a_schedule_has_the_fields_that_it_was_given_and_no_others() {
    let kit = kit().await;
    let given = json!({
        "functionName": "hello", "name": "reports", "cron": "30 8 * * MON-FRI", "timezone": "europe/berlin",
        "overlap": "skip", "catchUp": "all", "endTimestamp": "2999-01-01T00:00:00.000Z", "data": null, "priority": 3,
        "onComplete": { "functionName": "hello" },
    });
    let created = create(&kit, given.clone()).await;
    for (name, value) in given.as_object().unwrap() {
        let wanted = if name == "timezone" { json!("Europe/Berlin") } else { value.clone() };
        assert_eq!(created[name], wanted, "{name}");
    }
    assert_eq!((created.get("enabled"), created.get("interval")), (None, None));
    assert!(created["nextTimestamp"].is_string());
    let one = ok(&ask(&kit, &format!("GET {ALL}/{}", created["id"].as_str().unwrap()), Value::Null).await);
    assert_eq!(one, created);
    // Upstream's list shows it, too.
    for list in [ALL, "/tasks/v1/schedules"] {
        assert_eq!(ok(&ask(&kit, &format!("GET {list}?name=reports"), Value::Null).await)["data"], json!([created]));
    }
    let plain = create(&kit, json!({ "functionName": "hello", "interval": 60 })).await;
    let names: Vec<_> = plain.as_object().unwrap().keys().map(String::as_str).collect();
    let usual = ["id", "interval", "functionName", "startTimestamp", "nextTimestamp", "creationTimestamp"];
    assert_eq!(names, [&usual[..], &["updateTimestamp", "createdByUserId"]].concat());
    assert_eq!(create(&kit, json!({ "functionName": "hello", "cron": "@daily" })).await["timezone"], "UTC");
}

#[tokio::test]
async fn what_cannot_be_a_schedule_is_refused_with_the_reason() {
    let kit = kit().await;
    for (given, code, reason) in [
        (json!({ "functionName": "hello" }), 14, "interval"),
        (json!({ "cron": "* * * * *" }), 14, "functionName"),
        (json!({ "functionName": "hello", "cron": "* * * *" }), 15, "'cron'"),
        (json!({ "functionName": "hello", "cron": "0 0 30 2 *" }), 15, "never fires"),
        (
            json!({ "functionName": "hello", "cron": "*/5 2 * 3 +SUN#L", "timezone": "Europe/Berlin" }),
            15,
            "never fires",
        ),
        (json!({ "functionName": "hello", "cron": 5 }), 15, "'cron'"),
        (json!({ "functionName": "hello", "cron": "1,".repeat(200) }), 15, "256"),
        (json!({ "functionName": "hello", "cron": "* * * * *", "timezone": "Berlin" }), 15, "'timezone'"),
        (json!({ "functionName": "hello", "interval": 5, "overlap": "no" }), 15, "allow, skip, queue"),
        (json!({ "functionName": "hello", "interval": 5, "catchUp": true }), 15, "none, latest, all"),
        (json!({ "functionName": "hello", "interval": 5, "name": "" }), 15, "'name'"),
        (json!({ "functionName": "hello", "interval": 5, "enabled": "yes" }), 15, "'enabled'"),
        (json!({ "functionName": "hello", "interval": 5, "cron": "* * * * *" }), 26, "'interval' or 'cron'"),
        (json!({ "functionName": "hello", "interval": 5, "timezone": "UTC" }), 26, "'timezone'"),
        (json!({ "functionName": "hello", "interval": 5, "endTimestamp": "2000-01-01" }), 26, "endTimestamp"),
        (
            json!({ "functionName": "hello", "interval": 5, "startTimestamp": "2998-01-01", "endTimestamp": "2997-01-01" }),
            26,
            "before 'startTimestamp'",
        ),
        (json!({ "functionName": "nobody", "interval": 5 }), 16, "nobody"),
    ] {
        let refused = ask(&kit, &format!("POST {ALL}"), given.clone()).await;
        assert_eq!(refused.code(), code, "{given}: {}", refused.text);
        assert!(refused.text.contains(reason), "{given}: {}", refused.text);
    }
    assert_eq!(ok(&ask(&kit, &format!("GET {ALL}"), Value::Null).await)["data"], json!([]));
}

#[tokio::test]
async fn a_schedule_is_changed_field_by_field() {
    let kit = kit().await;
    let given =
        json!({ "functionName": "hello", "name": "a", "cron": "0 8 * * *", "timezone": "Asia/Tokyo", "priority": 1 });
    let id = create(&kit, given).await["id"].as_str().unwrap().to_owned();
    let one = format!("{ALL}/{id}");
    let change = async |change: Value| ask(&kit, &format!("PUT {one}"), change).await;
    let read = async || ok(&ask(&kit, &format!("GET {one}"), Value::Null).await);
    assert_eq!(ok(&change(json!({ "cron": "0 9 * * *", "name": null })).await), json!({ "affectedRecords": 1 }));
    let changed = read().await;
    assert_eq!((&changed["cron"], &changed["timezone"]), (&json!("0 9 * * *"), &json!("Asia/Tokyo")));
    assert_eq!((changed.get("name"), &changed["priority"]), (None, &json!(1)));
    assert!(changed["nextTimestamp"].as_str().unwrap().ends_with("T00:00:00.000Z"), "{changed}");
    ok(&change(json!({ "interval": 60, "priority": null, "overlap": "queue" })).await);
    let changed = read().await;
    assert_eq!((changed.get("cron"), changed.get("timezone"), changed.get("priority")), (None, None, None));
    assert_eq!((&changed["interval"], &changed["overlap"]), (&json!(60), &json!("queue")));
    for (refused, code) in [
        (json!({ "timezone": "UTC" }), 26),
        (json!({ "cron": "0 0 30 2 *" }), 15),
        (json!({ "endTimestamp": "2000-01-01" }), 26),
        (json!({ "functionName": "nobody" }), 16),
    ] {
        assert_eq!(change(refused.clone()).await.code(), code, "{refused}");
    }
    assert_eq!(read().await, changed, "nothing is half done");
    let missing = format!("{ALL}/0123456789abcdef01234567");
    assert_eq!(ask(&kit, &format!("PUT {missing}"), json!({})).await.code(), 16);
}

#[tokio::test]
async fn a_schedule_is_paused_resumed_run_and_deleted() {
    let kit = kit().await;
    let created = create(&kit, json!({ "functionName": "hello", "cron": "0 0 1 1 *", "data": { "n": 1 } })).await;
    let one = format!("{ALL}/{}", created["id"].as_str().unwrap());
    let affected = json!({ "affectedRecords": 1 });
    for _ in 0..2 {
        assert_eq!(ok(&ask(&kit, &format!("POST {one}/pause"), Value::Null).await), affected);
        let paused = ok(&ask(&kit, &format!("GET {one}"), Value::Null).await);
        assert_eq!((&paused["enabled"], paused.get("nextTimestamp")), (&json!(false), None));
    }
    let task = ok(&ask(&kit, &format!("POST {one}/run"), Value::Null).await);
    assert_eq!(
        (&task["scheduleId"], &task["data"], &task["createdByUserId"]),
        (&created["id"], &json!({ "n": 1 }), &json!("ada"))
    );
    assert_eq!(task["occurrenceTimestamp"], task["startTimestamp"]);
    let next = ok(&ask(&kit, &format!("GET {one}/next?count=3"), Value::Null).await);
    let times = next["data"].as_array().unwrap();
    assert!(
        times.len() == 3 && times.iter().all(|at| at.as_str().unwrap().ends_with("-01-01T00:00:00.000Z")),
        "{next}"
    );
    for count in ["0", "101", "x", "-1"] {
        assert_eq!(ask(&kit, &format!("GET {one}/next?count={count}"), Value::Null).await.code(), 15, "{count}");
    }
    assert_eq!(ok(&ask(&kit, &format!("POST {one}/resume"), Value::Null).await), affected);
    let resumed = ok(&ask(&kit, &format!("GET {one}"), Value::Null).await);
    assert_eq!((resumed.get("enabled"), &resumed["nextTimestamp"]), (None, &created["nextTimestamp"]));
    assert_eq!(ok(&ask(&kit, &format!("DELETE {one}"), Value::Null).await), affected);
    for target in ["GET ", "DELETE ", "POST /pause", "POST /resume", "POST /run", "GET /next"] {
        let (method, verb) = target.split_once(' ').unwrap();
        assert_eq!(ask(&kit, &format!("{method} {one}{verb}"), Value::Null).await.code(), 16, "{target}");
    }
}

#[tokio::test]
async fn an_idempotency_key_means_one_call_of_this_endpoint() {
    let kit = kit().await;
    let keyed = async |path: &str, body: Value| {
        let headers = [("authorization", MAY), ("idempotency-key", "k")];
        kit.ask_with(&format!("POST {path}"), &headers, body.to_string()).await
    };
    let body = json!({ "functionName": "hello", "interval": 3600 });
    let first = ok(&keyed(ALL, body.clone()).await);
    let again = keyed(ALL, body.clone()).await;
    assert_eq!(
        (ok(&again)["id"].clone(), again.headers["idempotent-replayed"].as_bytes()),
        (first["id"].clone(), &b"true"[..])
    );
    assert_eq!(keyed(ALL, json!({ "functionName": "hello", "cron": "0 0 * * *" })).await.code(), 1501);
    assert_ne!(ok(&keyed("/tasks/v1/schedules", body).await)["id"], first["id"]);
}

#[tokio::test]
async fn a_backfill_says_what_is_wrong_with_its_range() {
    let kit = kit().await;
    let schedule = create(&kit, json!({ "functionName": "hello", "cron": "* * * * *" })).await;
    let target = |id: &str| format!("POST {ALL}/{id}/backfill");
    let id = schedule["id"].as_str().unwrap();
    for (body, code, reason) in [
        (json!({ "to": "2020-01-01T00:00:00Z" }), 14, "from"),
        (json!({ "from": "2020-01-01T00:00:00Z" }), 14, "to"),
        (json!({ "from": "yesterday", "to": "2020-01-01T00:00:00Z" }), 15, "'from'"),
        (json!({ "from": "2020-01-01T00:00:01Z", "to": "2020-01-01T00:00:00Z" }), 26, "before"),
        (json!({ "from": "2020-01-01T00:00:00Z", "to": "2020-01-01T16:40:00Z" }), 15, "1000"),
        (json!({ "from": "2020-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z", "perSecond": 0 }), 15, "'perSecond'"),
        (json!({ "from": "2020-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z", "reason": 1 }), 15, "'reason'"),
    ] {
        let answered = ask(&kit, &target(id), body.clone()).await;
        let error = answered.json();
        assert_eq!(error["code"], code, "{body}: {}", answered.text);
        assert!(answered.text.contains(reason), "{body}: {}", answered.text);
    }
    let most = json!({ "from": "2020-01-01T00:00:00Z", "to": "2020-01-01T16:39:59Z", "dryRun": true });
    let counted = ok(&ask(&kit, &target(id), most).await);
    assert_eq!(counted, json!({ "matches": 1000, "matchesIsExact": true }));
    let future = json!({ "from": "2990-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z", "dryRun": true });
    assert_eq!(ok(&ask(&kit, &target(id), future).await)["matches"], 0, "what is to come is left to the schedule");
    let unknown = target("0123456789abcdef01234567");
    let range = json!({ "from": "2020-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z" });
    assert_eq!(ask(&kit, &unknown, range).await.json()["code"], 16);
    // The other bulk operations have no such action.
    let bulk = json!({ "action": "backfill", "ids": [id] });
    let all = "may VIEW_TASKS,CREATE_TASKS,CANCEL_TASKS,CREATE_TASK_SCHEDULE";
    let refused = kit.ask("POST /tasklane/v1/bulk", all, bulk.to_string()).await;
    assert_eq!(refused.json()["code"], 15, "{}", refused.text);
}
