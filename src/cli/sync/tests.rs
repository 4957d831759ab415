//! Syncs folders with a simulated service that keeps its state.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tasklane_client::testing::{Seen, Server};

use tasklane_model::FunctionName;

use super::*;

/// A service with these Functions. It stores changes and refuses a Function named `bad`.
async fn service(functions: &[Value]) -> (Server, Arc<Mutex<BTreeMap<String, Value>>>) {
    let known = functions.iter().map(|function| (function["name"].as_str().unwrap().to_owned(), function.clone()));
    let known = Arc::new(Mutex::new(known.collect::<BTreeMap<_, _>>()));
    let kept = known.clone();
    let schedules = Mutex::new(Vec::new());
    let server = Server::start(move |seen: &Seen| {
        if let Some(rest) = seen.target.strip_prefix("/tasklane/v1/schedules") {
            return answer_for_schedules(&mut schedules.lock().unwrap(), seen, rest.trim_matches('/'));
        }
        let mut known = kept.lock().unwrap();
        let name = seen.target.strip_prefix("/tasks/v1/functions").unwrap().trim_matches('/').to_owned();
        match seen.method.as_str() {
            "GET" if name.is_empty() => {
                let summary = |name: &String| json!({ "name": name, "updateTimestamp": "2026-01-31T08:15:30.123Z" });
                let all: Vec<_> = known.keys().map(summary).collect();
                (200, json!({ "query": "", "page": { "total": all.len(), "offset": 0, "limit": all.len() }, "data": all }))
            }
            "DELETE" => {
                known.remove(&name);
                (200, json!({ "affectedRecords": 1 }))
            }
            "GET" => match known.get(&name) {
                Some(function) => (200, function.clone()),
                None => (404, json!({ "code": 16, "name": "RESOURCE_UNKNOWN_EXCEPTION", "message": "There is none." })),
            },
            "POST" if seen.body["name"] == "bad" => {
                (400, json!({ "code": 1402, "name": "INVALID_FUNCTION_CONFIGURATION_EXCEPTION", "message": "No." }))
            }
            "POST" => {
                let name = seen.body["name"].as_str().unwrap().to_owned();
                let function = stored(json!({ "name": name }), &seen.body);
                known.insert(name, function.clone());
                (200, function)
            }
            "PUT" => {
                let function = stored(known[&name].clone(), &seen.body);
                known.insert(name, function);
                (200, json!({ "affectedRecords": 1 }))
            }
            other => panic!("{other}"),
        }
    })
    .await;
    (server, known)
}

fn answer_for_schedules(schedules: &mut Vec<Value>, seen: &Seen, id: &str) -> (u16, Value) {
    let place = schedules.iter().position(|schedule| schedule["id"] == id);
    match (seen.method.as_str(), place) {
        ("GET", _) => {
            let function = id.split("eq(functionName,").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
            let of: Vec<_> = schedules.iter().filter(|schedule| schedule["functionName"] == function).collect();
            (200, json!({ "query": "", "page": { "total": of.len(), "offset": 0, "limit": of.len() }, "data": of }))
        }
        ("POST", _) => {
            let at = "2026-01-31T08:15:30.123Z";
            let mut schedule = json!({ "startTimestamp": at, "creationTimestamp": at, "updateTimestamp": at });
            schedule["id"] = json!(format!("{:024x}", schedules.len() + 1));
            schedule.as_object_mut().unwrap().extend(seen.body.as_object().unwrap().clone());
            let schedule = without_nulls(schedule);
            schedules.push(schedule.clone());
            (200, schedule)
        }
        ("PUT", Some(place)) => {
            schedules[place].as_object_mut().unwrap().extend(seen.body.as_object().unwrap().clone());
            schedules[place] = without_nulls(schedules[place].take());
            (200, json!({ "affectedRecords": 1 }))
        }
        ("DELETE", Some(place)) => {
            schedules.remove(place);
            (200, json!({ "affectedRecords": 1 }))
        }
        other => panic!("{other:?}"),
    }
}

/// The Function as the service stores it, with the hash instead of the code.
fn stored(mut function: Value, change: &Value) -> Value {
    use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
    use sha2::{Digest, Sha256};
    for (field, value) in change.as_object().unwrap() {
        match field.as_str() {
            "code" => {
                let zip = BASE64.decode(value.as_str().unwrap()).unwrap();
                function["codeSha256"] = json!(BASE64.encode(Sha256::digest(zip)));
            }
            _ => function[field] = without_nulls(value.clone()),
        }
    }
    function
}

/// A `null` removes a value.
fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

/// `<name>/task-config.json` and `<name>/src/index.js` for each.
fn folder(configs: &[(&str, Value)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, more) in configs {
        let mut config = json!({ "name": name, "path": "src", "entryPoint": "index.handler", "runtime": "nodejs22.x" });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fs::create_dir_all(dir.path().join(name).join("src")).unwrap();
        fs::write(dir.path().join(name).join("src/index.js"), "exports.handler = async () => 1").unwrap();
        fs::write(dir.path().join(name).join("task-config.json"), config.to_string()).unwrap();
    }
    dir
}

fn args(dir: &tempfile::TempDir, plan: bool) -> Args {
    Args { path: Some(dir.path().to_owned()), plan, ..Args::default() }
}

/// All reports as text, without the hash of the code and the folder, which tests cannot know.
async fn told(server: &Server, args: &Args) -> String {
    let reports = sync_all(&server.client(), args, &|_| None, |_| Ok(())).await.unwrap();
    let text: Vec<_> = reports.iter().map(Report::to_text).collect();
    let text = text.join("\n");
    let text = match &args.path {
        Some(path) => text.replace(&format!("{}/", path.display()), ""),
        None => text,
    };
    text.lines().map(|line| line.split("code: ").next().unwrap().trim_end()).collect::<Vec<_>>().join("\n")
}

fn writes(server: &Server) -> Vec<String> {
    server.lines().into_iter().filter(|line| !line.starts_with("GET")).collect()
}

#[tokio::test]
async fn syncing_twice_writes_once() {
    let (server, _) = service(&[]).await;
    let everything = json!({
        "description": "d", "timeLimit": 60, "memoryLimit": 256, "environment": { "KEY": "s3cret" },
        "executionPermission": "allUsers", "defaultPriority": 2, "retryPolicy": { "enabled": true, "errorsToRetry": ["B", "A"] },
    });
    let dir = folder(&[("a", everything), ("b", json!({}))]);
    assert_eq!(told(&server, &args(&dir, false)).await, "a: created\nb: created");
    assert_eq!(told(&server, &args(&dir, false)).await, "a: unchanged\nb: unchanged");
    assert_eq!(told(&server, &args(&dir, true)).await, "a: unchanged\nb: unchanged");
    assert_eq!(writes(&server), ["POST /tasks/v1/functions", "POST /tasks/v1/functions"]);
}

#[tokio::test]
async fn a_retry_strategy_is_compared_only_if_the_file_has_one_and_null_removes_it() {
    let strategy =
        json!({ "maxRetries": 5, "backoff": "exponential", "baseSeconds": 2, "maxSeconds": 3600, "jitter": true });
    let extended = json!({ "enabled": true, "errorsToRetry": [], "errorsNotToRetry": ["A"], "strategy": strategy });
    let current = |retry_policy: serde_json::Value| {
        let mut function = json!({
            "name": "a", "entryPoint": "index.handler", "runtime": "nodejs22.x", "codeSha256": "x",
            "environmentVariables": {}, "executionOptions": {},
        });
        function["retryPolicy"] = retry_policy;
        function
    };
    let plan = async |from: serde_json::Value, to: serde_json::Value| {
        let (server, _) = service(&[current(from)]).await;
        let dir = folder(&[("a", json!({ "retryPolicy": to }))]);
        let told = told(&server, &args(&dir, true)).await;
        told.lines().filter(|line| line.contains("retryPolicy")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(plan(extended.clone(), json!({ "enabled": true })).await, [""; 0]);
    let defaults = json!({ "enabled": true, "errorsNotToRetry": ["A"], "strategy": { "maxRetries": 5 } });
    assert_eq!(plan(extended.clone(), defaults.clone()).await, [""; 0]);
    let added = plan(json!({ "enabled": true }), defaults).await;
    assert_eq!(added.len(), 2, "{added:?}");
    assert!(
        added[0].starts_with("  + retryPolicy.errorsNotToRetry") && added[1].starts_with("  + retryPolicy.strategy")
    );
    let removed = plan(extended, json!({ "enabled": true, "errorsNotToRetry": null, "strategy": null })).await;
    assert!(removed[1].starts_with("  - retryPolicy.strategy"), "{removed:?}");
    assert_eq!(removed.len(), 2);
}

#[tokio::test]
async fn unchanged_code_is_uploaded_again_with_force() {
    let (server, _) = service(&[]).await;
    let dir = folder(&[("a", json!({}))]);
    assert_eq!(told(&server, &args(&dir, false)).await, "a: created");
    let forced = Args { force: true, ..args(&dir, false) };
    assert_eq!(told(&server, &forced).await, "a: uploaded again");
    assert_eq!(writes(&server), ["POST /tasks/v1/functions", "PUT /tasks/v1/functions/a"]);
}

#[tokio::test]
async fn a_plan_shows_each_field_and_writes_nothing() {
    let current = json!({
        "name": "a", "entryPoint": "main.handler", "runtime": "nodejs22.x", "timeLimit": 30, "memoryLimit": 128, "codeSha256": "x",
        "environmentVariables": { "KEPT": { "value": "1" }, "CHANGED": { "value": "s3cret" }, "OLD": { "value": "s3cret" } },
        "retryPolicy": { "enabled": false, "errorsToRetry": [] },
        "executionOptions": { "permissionMode": "permissionRequired", "defaultPriority": 7 },
    });
    let (server, _) = service(&[current]).await;
    let change = json!({
        "timeLimit": 60, "memoryLimit": 128, "environment": { "KEPT": "1", "CHANGED": "s3cret-2", "NEW": "s3cret" },
        "executionPermission": "public", "retryPolicy": { "enabled": true, "errorsToRetry": ["E"] }, "description": "A \"b\"",
    });
    let dir = folder(&[("a", change), ("new", json!({ "environment": { "KEY": "s3cret" } }))]);
    insta::assert_snapshot!(told(&server, &args(&dir, true)).await, @r#"
    a: would be updated
      ~
      ~ entryPoint: "main.handler" -> "index.handler"
      + description: "A \"b\""
      ~ timeLimit: 30 -> 60
      ~ environmentVariables.CHANGED (value hidden)
      + environmentVariables.NEW (value hidden)
      - environmentVariables.OLD (value hidden)
      ~ retryPolicy.enabled: false -> true
      + retryPolicy.errorsToRetry: ["E"]
      ~ executionOptions.permissionMode: "permissionRequired" -> "public"
    new: would be created
      +
      + entryPoint: "index.handler"
      + runtime: "nodejs22.x"
      + environmentVariables.KEY (value hidden)
    "#);
    assert_eq!(writes(&server), [""; 0]);
    let reports = sync_all(&server.client(), &args(&dir, true), &|_| None, |_| Ok(())).await.unwrap();
    let json = serde_json::to_string(&reports).unwrap();
    assert!(!json.contains("s3cret"), "{json}");
    assert!(json.contains(r#"{"field":"timeLimit","change":"changed","from":30,"to":60}"#), "{json}");
}

#[tokio::test]
async fn an_update_sends_what_differs_and_keeps_the_rest() {
    let (server, known) = service(&[]).await;
    let dir = folder(&[("a", json!({ "defaultPriority": 7, "environment": { "A1": "1" } }))]);
    told(&server, &args(&dir, false)).await;
    let edited = folder(&[("a", json!({ "executionPermission": "public", "timeLimit": 90 }))]);
    assert_eq!(told(&server, &args(&edited, false)).await, "a: updated (timeLimit, executionPermission)");
    let put = server.seen().pop().unwrap();
    assert_eq!(
        put.body,
        json!({ "timeLimit": 90, "executionOptions": { "permissionMode": "public", "defaultPriority": 7 } })
    );
    fs::write(edited.path().join("a/src/index.js"), "exports.handler = async () => 2").unwrap();
    assert_eq!(told(&server, &args(&edited, false)).await, "a: updated (code)");
    let put = server.seen().pop().unwrap();
    assert_eq!(put.body.as_object().unwrap().keys().collect::<Vec<_>>(), ["code"]);
    assert_eq!(known.lock().unwrap()["a"]["environmentVariables"], json!({ "A1": { "value": "1" } }));
}

#[tokio::test]
async fn if_one_fails_the_others_are_still_synced() {
    let (server, _) = service(&[]).await;
    let dir = folder(&[("a", json!({})), ("bad", json!({})), ("c", json!({ "timeLimit": 1 })), ("d", json!({}))]);
    fs::write(dir.path().join("a/task-config.json"), "{").unwrap();
    fs::create_dir(dir.path().join("e")).unwrap();
    fs::copy(dir.path().join("d/task-config.json"), dir.path().join("e/task-config.json")).unwrap();
    fs::create_dir(dir.path().join("e/src")).unwrap();
    fs::write(dir.path().join("e/src/index.js"), "").unwrap();
    insta::assert_snapshot!(told(&server, &args(&dir, false)).await, @"
    error: a/task-config.json: is not JSON: EOF while parsing an object at line 1 column 1
    error: bad: 1402 INVALID_FUNCTION_CONFIGURATION_EXCEPTION: No.
    error: c/task-config.json: 'timeLimit' must be a whole number of seconds from 3 to 300
    d: created
    error: e/task-config.json: d/task-config.json has the same name 'd'
    ");
}

#[tokio::test]
async fn a_function_without_its_handlers_file_is_not_deployed() {
    let (server, _) = service(&[]).await;
    let dir = folder(&[("a", json!({ "entryPoint": "main.handler" })), ("b", json!({})), ("c", json!({}))]);
    fs::rename(dir.path().join("c/src/index.js"), dir.path().join("c/src/index.ts")).unwrap();
    insta::assert_snapshot!(told(&server, &args(&dir, false)).await, @"
    error: a/task-config.json: 'entryPoint' leads to a/src/main.js (or .mjs, .cjs), which does not exist; build the code first, or correct 'entryPoint' or 'path'
    b: created
    error: c/task-config.json: 'entryPoint' leads to c/src/index.js (or .mjs, .cjs), which does not exist; compile c/src/index.ts, and let 'path' lead to the result
    ");
    assert_eq!(writes(&server), ["POST /tasks/v1/functions"]);
}

#[tokio::test]
async fn flags_alone_and_flags_over_files() {
    let (server, _) = service(&[]).await;
    let dir = folder(&[("a", json!({ "environment": { "A1": "file", "B1": "file" } }))]);
    let flags = Args {
        name: Some("b".to_owned()),
        code: Some(dir.path().join("a/src")),
        entry_point: Some("index.handler".to_owned()),
        runtime: Some("nodejs22.x".to_owned()),
        ..Args::default()
    };
    assert_eq!(told(&server, &flags).await, "b: created");
    let over = Args { time_limit: Some(99), variables: vec![variable("B1=flag=1").unwrap()], ..args(&dir, false) };
    assert_eq!(told(&server, &over).await, "a: created");
    let body = server.seen().pop().unwrap().body;
    assert_eq!(body["timeLimit"], 99);
    assert_eq!(body["environmentVariables"], json!({ "A1": { "value": "file" }, "B1": { "value": "flag=1" } }));
}

#[tokio::test]
async fn a_schema_is_sent_as_it_is_written_and_shown_by_its_size() {
    let (server, known) = service(&[]).await;
    let dir = folder(&[("a", json!({ "dataSchema": "data.json", "resultSchema": { "type": "null" } }))]);
    let file = dir.path().join("a/data.json");
    fs::write(&file, "{ \"maximum\": 1.0e2,\n  \"title\": \"s3cret\" }\n").unwrap();
    let plan = told(&server, &args(&dir, true)).await;
    assert!(plan.contains("+ dataSchema: {\"bytes\":34}\n  + resultSchema: {\"bytes\":15}"), "{plan}");
    told(&server, &args(&dir, false)).await;
    assert_eq!(known.lock().unwrap()["a"]["dataSchema"], json!({ "maximum": 100.0, "title": "s3cret" }));
    // White space makes no difference.
    fs::write(&file, r#"{"maximum":100.0,"title":"s3cret"}"#).unwrap();
    assert_eq!(told(&server, &args(&dir, true)).await, "a: unchanged");
    fs::write(&file, r#"{"maximum":101.0,"title":"s3cret"}"#).unwrap();
    let plan = told(&server, &args(&dir, true)).await;
    assert!(plan.contains("~ dataSchema: {\"bytes\":34} -> {\"bytes\":34}") && !plan.contains("s3cret"), "{plan}");
    let without = folder(&[("a", json!({}))]);
    assert_eq!(told(&server, &args(&without, true)).await, "a: unchanged");
    let exact = Args { exact: true, ..args(&without, true) };
    assert!(told(&server, &exact).await.contains("- resultSchema: {\"bytes\":15}"));
    let removed = folder(&[("a", json!({ "dataSchema": null }))]);
    told(&server, &args(&removed, false)).await;
    let sent = server.seen().pop().unwrap().body;
    assert!(sent.as_object().unwrap().contains_key("dataSchema") && sent["dataSchema"].is_null(), "{sent}");
    assert!(sent.get("resultSchema").is_none(), "{sent}");
}

#[tokio::test]
async fn what_a_file_no_longer_names_is_kept_and_said_or_reset() {
    let (server, known) = service(&[]).await;
    let before = json!({
        "executionPermission": "public", "timeLimit": 5, "environment": { "KEY": "s3cret" }, "concurrencyLimit": 2,
        "retryPolicy": { "enabled": true, "strategy": { "maxRetries": 5 } }, "description": "d", "storeResult": true,
    });
    let dir = folder(&[("a", before)]);
    told(&server, &args(&dir, false)).await;
    let edited = folder(&[("a", json!({ "timeLimit": 5 }))]);
    let kept = async |args: Args| {
        let reports = sync_all(&server.client(), &args, &|_| None, |_| Ok(())).await.unwrap();
        serde_json::to_value(&reports).unwrap()[0]["kept"].clone()
    };
    let fields = |kept: Value| {
        kept.as_array().unwrap().iter().map(|change| change["field"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for plan in [true, false] {
        let kept = kept(args(&edited, plan)).await;
        assert!(!kept.to_string().contains("s3cret"), "{kept}");
        assert_eq!(
            fields(kept),
            [
                "description",
                "environmentVariables.KEY",
                "retryPolicy.enabled",
                "retryPolicy.strategy",
                "executionOptions.permissionMode",
                "executionOptions.concurrencyLimit",
                "storeResult"
            ]
        );
    }
    assert_eq!(told(&server, &args(&edited, true)).await, "a: unchanged");

    let exact = || Args { exact: true, ..args(&edited, false) };
    assert!(told(&server, &Args { plan: true, ..exact() }).await.contains("  - storeResult: true"));
    told(&server, &exact()).await;
    assert_eq!(kept(exact()).await, Value::Null);
    assert_eq!(told(&server, &exact()).await, "a: unchanged");
    let function = known.lock().unwrap()["a"].clone();
    assert_eq!(function["executionOptions"]["permissionMode"], "permissionRequired");
    assert_eq!((&function["environmentVariables"], &function["timeLimit"]), (&json!({}), &json!(5)));
}

#[tokio::test]
async fn functions_without_a_file_are_deleted_only_if_asked_and_if_every_file_can_be_read() {
    let other = json!({ "name": "other", "entryPoint": "x.y", "runtime": "nodejs22.x" });
    let (server, known) = service(&[other]).await;
    let dir = folder(&[("a", json!({}))]);
    let prune = |plan: bool| Args { prune: true, ..args(&dir, plan) };
    told(&server, &args(&dir, false)).await;
    assert_eq!(
        told(&server, &prune(true)).await,
        "a: unchanged\nother: would be deleted, because no file describes it"
    );
    assert!(known.lock().unwrap().contains_key("other"));
    let config = dir.path().join("a/task-config.json");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, "{").unwrap();
    let refused = sync_all(&server.client(), &prune(false), &|_| None, |_| Ok(())).await.unwrap_err();
    assert!(refused.to_string().starts_with("nothing was deleted"), "{refused}");
    fs::write(&config, good).unwrap();
    assert_eq!(told(&server, &prune(false)).await, "a: unchanged\nother: deleted, because no file describes it");
    assert_eq!(known.lock().unwrap().keys().collect::<Vec<_>>(), ["a"]);
    let one = Args { path: Some(dir.path().join("a")), prune: true, ..Args::default() };
    assert!(one.check().unwrap_err().to_string().contains("--prune"));
}

#[tokio::test]
async fn files_that_are_left_out_are_named_and_a_broken_file_is_no_name() {
    let (server, _) = service(&[]).await;
    let dir = folder(&[("a", json!({})), ("b", json!({ "timeLimit": 1 }))]);
    fs::write(dir.path().join("a/src/.env"), "KEY=s3cret").unwrap();
    let reports = sync_all(&server.client(), &args(&dir, false), &|_| None, |_| Ok(())).await.unwrap();
    let json = serde_json::to_value(&reports).unwrap();
    assert_eq!((&json[0]["name"], &json[0]["leftOut"]), (&json!("a"), &json!([".env"])));
    assert_eq!(json[1]["name"], Value::Null);
    assert!(json[1]["file"].as_str().unwrap().ends_with("b/task-config.json"));
}

#[test]
fn contradictory_flags_are_refused_at_once() {
    let refusal = |args: Args| args.drafts(&|_| None).err().unwrap().to_string();
    assert_eq!(
        refusal(Args { name: Some("a".to_owned()), runtime: Some("nodejs22.x".to_owned()), ..Args::default() }),
        "without a path, these flags are required: --code, --entryPoint"
    );
    let dir = folder(&[("a", json!({})), ("b", json!({}))]);
    let error = refusal(Args { name: Some("c".to_owned()), ..args(&dir, false) });
    assert!(error.starts_with("--name and --code are for one Function"), "{error}");
    assert!(variable("A").is_err() && variable("=1").is_err());
}

#[tokio::test]
async fn schedules_of_a_file_are_planned_written_and_removed_with_their_function() {
    let (server, _) = service(&[]).await;
    let schedules =
        |interval: u32| json!({ "schedules": [{ "name": "poll", "interval": interval, "data": { "n": 1 } }] });
    let dir = folder(&[("a", schedules(60))]);
    assert!(told(&server, &args(&dir, true)).await.contains("schedules.poll"));
    told(&server, &args(&dir, false)).await;
    assert_eq!(told(&server, &args(&dir, false)).await, "a: unchanged");
    let changed = folder(&[("a", schedules(90)), ("b", json!({}))]);
    let plan = told(&server, &args(&changed, true)).await;
    assert!(plan.contains("schedules.poll.interval: 60 -> 90"), "{plan}");
    told(&server, &args(&changed, false)).await;
    assert_eq!(told(&server, &args(&changed, false)).await, "a: unchanged\nb: unchanged");
    let poll = |more: Value| {
        let mut schedule = json!({ "name": "poll", "interval": 90 });
        schedule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        folder(&[("a", json!({ "schedules": [schedule] })), ("b", json!({}))])
    };
    // What is taken away is taken away with one sync.
    for less in [poll(json!({ "overlap": "skip", "endTimestamp": "2030-01-01T00:00:00Z" })), poll(json!({}))] {
        assert!(told(&server, &args(&less, false)).await.starts_with("a: updated"));
        assert_eq!(told(&server, &args(&less, false)).await, "a: unchanged\nb: unchanged");
    }
    let unnamed = folder(&[("a", json!({})), ("b", json!({}))]);
    assert_eq!(told(&server, &args(&unnamed, false)).await, "a: unchanged\nb: unchanged", "left alone");
    let exact = Args { exact: true, ..args(&unnamed, true) };
    assert!(told(&server, &exact).await.contains("schedules.poll"));
    let without = folder(&[("b", json!({}))]);
    told(&server, &Args { prune: true, ..args(&without, false) }).await;
    let left = schedules::existing(&server.client(), &FunctionName::parse("a").unwrap()).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

/// Replaces the file's zip by an image.
fn write_image(dir: &tempfile::TempDir, image: &str) {
    let config = json!({ "name": "a", "image": image, "timeLimit": 60 });
    fs::write(dir.path().join("a/task-config.json"), config.to_string()).unwrap();
}

#[tokio::test]
async fn an_image_is_sent_by_its_name_when_that_changes_or_by_force() {
    let (server, _) = service(&[]).await;
    let dir = folder(&[("a", json!({}))]);
    write_image(&dir, "registry/a:1");
    assert_eq!(told(&server, &args(&dir, false)).await, "a: created");
    let body = server.seen().pop().unwrap().body;
    assert_eq!(body["image"], "registry/a:1");
    for zip in ["code", "codeUploadId", "entryPoint", "runtime"] {
        assert!(body.get(zip).is_none(), "{zip}");
    }
    assert_eq!(told(&server, &args(&dir, false)).await, "a: unchanged");
    write_image(&dir, "registry/a:2");
    let plan = told(&server, &args(&dir, true)).await;
    assert!(plan.contains("registry/a:1") && plan.contains("registry/a:2"), "{plan}");
    assert_eq!(told(&server, &args(&dir, false)).await.lines().next(), Some("a: updated (image)"));
    let mut body = server.seen().pop().unwrap().body;
    body.as_object_mut().unwrap().remove("label");
    assert_eq!(body, json!({ "image": "registry/a:2" }));
    // The tag may lead to another image by now.
    let writes_before = writes(&server).len();
    told(&server, &Args { force: true, ..args(&dir, false) }).await;
    let body = server.seen().pop().unwrap().body;
    assert_eq!((writes(&server).len(), &body["image"]), (writes_before + 1, &json!("registry/a:2")));
    let flags = Args { name: Some("b".into()), image: Some("registry/b:1".into()), ..Args::default() };
    assert_eq!(told(&server, &flags).await, "b: created");
    assert!(Args { name: Some("b".into()), ..Args::default() }.check().unwrap_err().to_string().contains("--runtime"));
}

#[tokio::test]
async fn an_image_that_is_only_on_this_machine_is_not_synced() {
    let (server, _) = service(&[]).await;
    let dir = folder(&[("a", json!({}))]);
    fs::write(dir.path().join("a/image.tar"), "").unwrap();
    write_image(&dir, "./image.tar");
    let told = told(&server, &args(&dir, false)).await;
    assert!(told.contains("push the image to ECR") && told.contains("--image URI="), "{told}");
    assert_eq!(writes(&server), [""; 0]);
}
