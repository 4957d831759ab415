//! The other commands, against a running `tasklane dev`.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{
    command::{Ended, run, tasklane},
    dev::Dev,
    project::write_function,
};

const ECHO: &str = "
exports.handler = async event => {
  console.log('a line of', event.id);
  if (event.data === 'throw') { const e = new Error('why'); e.name = 'MINE'; throw e; }
  return { got: event.data };
};";

struct Shell<'a>(&'a Path);

impl Shell<'_> {
    fn run(&self, args: &[&str]) -> Ended {
        run(self.0, args)
    }

    /// The stdout of a successful command as JSON.
    fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).expect(0).json()
    }
}

#[test]
fn sync_plans_and_writes_only_the_differences() {
    let home = tempfile::tempdir().unwrap();
    let dev = Dev::start::<&str>(home.path(), []);
    let shell = Shell(home.path());
    let folder = home.path().join("functions");
    write_function(&folder, "one", ECHO, &json!({ "environment": { "SECRET": "do-not-print" } }));
    write_function(&folder, "two", ECHO, &json!({ "description": "the second" }));
    let path = folder.to_str().unwrap();

    let planned = shell.run(&["sync", "--path", path, "--plan"]).expect(1);
    assert!(planned.stdout.contains("one") && planned.stdout.contains("two"), "{}", planned.stdout);
    assert!(!planned.stdout.contains("do-not-print") && !planned.stderr.contains("do-not-print"));
    assert_eq!(shell.json(&["list"]), json!([]), "a plan changes nothing");

    shell.run(&["sync", "--path", path]).expect(0);
    shell.run(&["sync", "--path", path, "--plan"]).expect(0);
    let names: Vec<_> = shell.json(&["list"]).as_array().unwrap().iter().map(|f| f["name"].clone()).collect();
    assert_eq!(names, ["one", "two"]);

    let before = shell.json(&["get", "two"]);
    assert_eq!(before["description"], "the second");
    shell.run(&["sync", "--path", path]).expect(0);
    assert_eq!(shell.json(&["get", "two"]), before, "unchanged Functions are not written again");

    write_function(&folder, "two", ECHO, &json!({ "description": "the second", "timeLimit": 7 }));
    let planned = shell.run(&["sync", "--path", path, "--plan"]).expect(1);
    assert!(planned.stdout.contains("timeLimit: 30 -> 7"), "{}", planned.stdout);
    shell.run(&["sync", "--path", path]).expect(0);
    assert_eq!(shell.json(&["get", "two"])["timeLimit"], 7);

    fs::write(folder.join("one/task-config.json"), "{ \"name\": \"one\", \"surprise\": 1 }").unwrap();
    let broken = shell.run(&["sync", "--path", path, "--plan"]).expect(2);
    assert!(broken.stderr.contains("surprise"), "{}", broken.stderr);

    let code = folder.join("two/code");
    let flags = ["--code", code.to_str().unwrap(), "--entryPoint=index.handler", "--runtime=nodejs20.x"];
    shell.run(&[&["sync", "--name=three"][..], &flags].concat()).expect(0);
    assert_eq!(shell.json(&["execute", "three", "--data", "3"])["result"], json!({ "got": 3 }));
    dev.stop();
}

#[test]
fn tasks_can_be_created_once_and_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("functions");
    write_function(&folder, "echo", ECHO, &json!({ "storeResult": true }));
    let dev = Dev::start(home.path(), [&folder]);
    let shell = Shell(home.path());

    let create = ["tasks", "create", "echo", "--data", "1.50", "--idempotency-key", "k", "--wait"];
    let task = shell.json(&create);
    assert_eq!(task["status"], "complete");
    assert_eq!(shell.json(&create), task);
    let id = task["id"].as_str().unwrap();
    assert_eq!(shell.run(&["tasks", "result", id]).expect(0).json(), json!({ "got": 1.5 }));
    assert_eq!(shell.json(&["tasks", "wait", id]), task);
    let reused = shell.run(&["tasks", "create", "echo", "--data", "2", "--idempotency-key", "k"]).expect(2);
    assert!(reused.stderr.contains("another body"), "{}", reused.stderr);

    let execute = ["execute", "echo", "--data", "3", "--idempotency-key", "k"];
    assert_eq!(shell.json(&execute), shell.json(&execute));
    shell.run(&["tasks", "create", "echo", "--data", "\"throw\"", "--wait"]).expect(1);
    let follow = ["--on-complete", "echo", "--on-complete-data", "[1.0]"];
    let followed = shell.json(&[&["tasks", "create", "echo", "--start", "+1h"][..], &follow].concat());
    assert_eq!(followed["onComplete"], json!({ "functionName": "echo", "data": [1.0] }));
    let later = shell.json(&["tasks", "create", "echo", "--start", "+1h"]);
    shell.run(&["tasks", "wait", later["id"].as_str().unwrap(), "--timeout", "1s"]).expect(1);
    let none = shell.run(&["tasks", "result", later["id"].as_str().unwrap()]).expect(1);
    assert!(none.stderr.contains("has no result"), "{}", none.stderr);

    let tasks = r#"[{"functionName":"echo"},{"functionName":"missing"},{"functionName":"echo"}]"#;
    let batch = shell.run(&["tasks", "batch", tasks, "--idempotency-key", "b"]).expect(1);
    assert_eq!((batch.stdout.lines().count(), batch.stderr.contains("task 1: ")), (2, true), "{}", batch.stderr);
    let again = shell.run(&["tasks", "batch", tasks, "--idempotency-key", "b"]).expect(1);
    assert_eq!(again.stdout, batch.stdout);
    assert!(shell.run(&["get", "echo"]).expect(0).stdout.contains("kept"));
    dev.stop();
}

#[test]
fn versions_are_compared_tried_and_gone_back_to() {
    let home = tempfile::tempdir().unwrap();
    let dev = Dev::start::<&str>(home.path(), []);
    let shell = Shell(home.path());
    let folder = home.path().join("functions");
    let path = folder.to_str().unwrap();
    let answers = |text: &str, more: Value| {
        write_function(&folder, "echo", &format!("exports.handler = async () => '{text}';"), &more);
    };
    let executed = || shell.json(&["execute", "echo"])["result"].clone();

    answers("one", json!({ "environment": { "KEY": "do-not-print" } }));
    shell.run(&["sync", path]).expect(0);
    let none = shell.run(&["rollback", "echo"]).expect(2);
    assert!(none.stderr.contains("has no earlier version"), "{}", none.stderr);
    answers("two", json!({ "environment": { "KEY": "do-not-print-2" }, "timeLimit": 7 }));
    shell.run(&["sync", path, "--label", "4f2c1ab"]).expect(0);
    assert_eq!(executed(), "two");
    let listed = shell.json(&["versions", "echo"]);
    assert_eq!((&listed[0]["number"], &listed[0]["label"]), (&json!(2), &json!("4f2c1ab")));
    assert_eq!(listed[0]["changed"], json!(["code", "timeLimit", "environmentVariables"]));
    let compared = shell.run(&["diff", "echo"]).expect(1);
    assert!(compared.stdout.contains("timeLimit: 30 → 7") && compared.stdout.contains("code: index.js"));
    assert!(!compared.stdout.contains("do-not-print"), "{}", compared.stdout);

    shell.run(&["rollback", "echo"]).expect(0);
    assert_eq!(executed(), "one");
    shell.run(&["diff", "echo", "1", "3"]).expect(0);
    let zip = home.path().join("two.zip");
    shell.run(&["versions", "echo", "--download", "2", "--output", zip.to_str().unwrap()]).expect(0);
    assert!(fs::read(&zip).unwrap().starts_with(b"PK"));

    answers("four", json!({}));
    let published = shell.run(&["sync", path, "--publish-only"]).expect(0);
    assert!(published.stdout.contains("echo: published as version 4 (code)"), "{}", published.stdout);
    assert_eq!(executed(), "one");
    shell.run(&["canary", "echo", "4", "--percent", "99", "--fail-when", "1/2"]).expect(0);
    let tried = (0..10).filter(|_| executed() == "four").count();
    assert!(tried > 5, "{tried} of 10 runs at 99 %");
    assert_eq!(shell.json(&["canary", "echo"])["percent"], 99);
    shell.run(&["canary", "echo", "--stop"]).expect(0);
    assert_eq!(executed(), "one");
    let ended = shell.run(&["canary", "echo"]).expect(0);
    assert!(ended.stdout.contains("it was stopped"), "{}", ended.stdout);
    let unknown = shell.run(&["rollback", "echo", "--to", "9"]).expect(2);
    assert!(unknown.stderr.contains("1504"), "{}", unknown.stderr);
    shell.run(&["rollback", "echo", "--to", "4"]).expect(0);
    assert_eq!(executed(), "four");
    let task = shell.json(&["tasks", "create", "echo", "--wait"]);
    assert_eq!(task["functionVersion"], 5);
    dev.stop();
}

#[test]
fn functions_tasks_and_schedules_can_be_managed() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("functions");
    write_function(&folder, "echo", ECHO, &json!({}));
    let dev = Dev::start(home.path(), [&folder]);
    let shell = Shell(home.path());

    let executed = shell.run(&["execute", "echo", "--data", r#"{"a":[1,"é"]}"#]).expect(0);
    assert_eq!(executed.json(), json!({ "got": { "a": [1, "é"] } }));
    let failed = shell.run(&["execute", "echo", "--data", "\"throw\""]).expect(1);
    assert!(failed.stderr.contains("MINE") && failed.stderr.contains("why"), "{}", failed.stderr);

    let task = shell.json(&["tasks", "create", "echo", "--data", "5", "--tag", "mine", "--priority", "-3"]);
    let id = task["id"].as_str().unwrap();
    let logs = shell.run(&["tasks", "logs", id, "--follow"]).expect(0);
    assert!(logs.stdout.contains(&format!("a line of {id}")), "{}", logs.stdout);
    let task = shell.json(&["tasks", "get", id]);
    assert_eq!((&task["status"], &task["priority"], &task["tags"]), (&json!("complete"), &json!(-3), &json!(["mine"])));
    let listed = shell.json(&["tasks", "list", "--rql", "eq(tags,mine)"]);
    assert_eq!(listed, json!([task]));

    let throwing = shell.json(&["tasks", "create", "echo", "--data", "\"throw\""]);
    shell.run(&["tasks", "logs", throwing["id"].as_str().unwrap(), "--follow"]).expect(1);
    let attempts = shell.json(&["tasks", "attempts", throwing["id"].as_str().unwrap()]);
    assert_eq!((attempts.as_array().unwrap().len(), &attempts[0]["error"]["name"]), (1, &json!("MINE")));

    let failures = shell.json(&["failures", "--since", "-1h", "--function", "echo"]);
    assert_eq!((&failures[0]["errorName"], failures.as_array().unwrap().len()), (&json!("MINE"), 1), "{failures}");

    let later = shell.json(&["tasks", "create", "echo", "--start", "+1h"]);
    let why = shell.run(&["tasks", "why", later["id"].as_str().unwrap()]).expect(0);
    assert!(
        why.stdout.contains("start time") && shell.json(&["tasks", "why", id])["reason"] == "completed",
        "{}",
        why.stdout
    );
    shell.run(&["tasks", "cancel", later["id"].as_str().unwrap()]).expect(0);
    assert_eq!(shell.json(&["tasks", "get", later["id"].as_str().unwrap()])["status"], "canceled");
    shell.run(&["tasks", "cancel", later["id"].as_str().unwrap()]).expect(2);

    let schedule = shell.json(&["schedules", "create", "echo", "--interval", "1h", "--start", "+1h"]);
    assert_eq!(shell.json(&["schedules", "list"]), json!([schedule]));
    shell.run(&["schedules", "delete", schedule["id"].as_str().unwrap()]).expect(0);
    assert_eq!(shell.json(&["schedules", "list"]), json!([]));

    assert_eq!(dev.ask("GET", "/tasks/v1/api/echo/x", None).status, 400, "its result is not a valid response");
    let request = shell.json(&["api-requests", "list"])[0].clone();
    assert_eq!((&request["path"], &request["error"]["type"]), (&json!("x"), &json!("response")));
    let logs = shell.run(&["api-requests", "logs", request["id"].as_str().unwrap()]).expect(0);
    assert!(logs.stdout.contains("a line of"), "{}", logs.stdout);

    shell.run(&["disable", "echo"]).expect(0);
    assert_eq!(shell.json(&["get", "echo"])["enabled"], false);
    shell.run(&["execute", "echo"]).expect(2);
    shell.run(&["enable", "echo"]).expect(0);
    shell.run(&["delete", "echo"]).expect(0);
    shell.run(&["get", "echo"]).expect(2);
    dev.stop();
}

#[test]
fn a_new_credential_allows_what_it_should_until_it_is_revoked() {
    let home = tempfile::tempdir().unwrap();
    let dev = Dev::start::<&str>(home.path(), []);
    let shell = Shell(home.path());
    let created = shell.run(&["credentials", "create", "--user", "ada", "--permission", "VIEW_TASKS"]).expect(0);
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("credentials");
    fs::write(&file, &created.stdout).unwrap();
    let theirs = |args: &[&str]| Ended::of(tasklane(elsewhere.path()).args(args).arg("--credentials").arg(&file));
    theirs(&["tasks", "list"]).expect(0);
    let refused = theirs(&["list"]).expect(2);
    assert!(refused.stderr.contains("VIEW_TASK_FUNCTIONS"), "{}", refused.stderr);

    let listed = shell.json(&["credentials", "list"]);
    let ada = listed.as_array().unwrap().iter().find(|credential| credential["userId"] == "ada").unwrap();
    for line in created.stdout.lines().filter(|line| line.contains("SECRET") || line.contains("ACCESS")) {
        let secret = line.split_once('=').unwrap().1;
        assert!(!listed.to_string().contains(secret), "a secret is listed");
    }
    shell.run(&["credentials", "revoke", ada["id"].as_str().unwrap()]).expect(0);
    theirs(&["tasks", "list"]).expect(2);
    dev.stop();
}

#[test]
fn without_credentials_the_error_lists_the_places_that_were_searched() {
    let home = tempfile::tempdir().unwrap();
    let ended = run(home.path(), ["list"]).expect(2);
    assert!(ended.stderr.contains(".exh/credentials") && ended.stderr.contains("tasklane dev"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}
