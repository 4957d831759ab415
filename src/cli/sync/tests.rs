//! Syncs folders with a simulated service that keeps its state.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tasklane_client::testing::{Seen, Server};

use super::*;

/// A service with these Functions. It stores changes and refuses a Function named `bad`.
async fn service(functions: &[Value]) -> (Server, Arc<Mutex<BTreeMap<String, Value>>>) {
    let known = functions.iter().map(|function| (function["name"].as_str().unwrap().to_owned(), function.clone()));
    let known = Arc::new(Mutex::new(known.collect::<BTreeMap<_, _>>()));
    let kept = known.clone();
    let server = Server::start(move |seen: &Seen| {
        let mut known = kept.lock().unwrap();
        let name = seen.target.strip_prefix("/tasks/v1/functions").unwrap().trim_matches('/').to_owned();
        match seen.method.as_str() {
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
            _ => function[field] = value.clone(),
        }
    }
    function
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
    assert_eq!(told(&server, &args(&edited, false)).await, "a: updated (timeLimit, executionOptions)");
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
    error: e/task-config.json: an earlier task-config.json has the same name 'd'
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

#[test]
fn contradictory_flags_are_refused_at_once() {
    let refusal = |args: Args| args.drafts(&|_| None).err().unwrap().to_string();
    assert_eq!(
        refusal(Args { name: Some("a".to_owned()), runtime: Some("nodejs22.x".to_owned()), ..Args::default() }),
        "without --path, these flags are required, too: --code, --entryPoint"
    );
    let dir = folder(&[("a", json!({})), ("b", json!({}))]);
    let error = refusal(Args { name: Some("c".to_owned()), ..args(&dir, false) });
    assert!(error.starts_with("--name and --code are for one Function"), "{error}");
    assert!(variable("A").is_err() && variable("=1").is_err());
}
