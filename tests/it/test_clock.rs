//! `tasklane dev --test-clock`: a test sets the clock forward, and lets runs fail (contract §23).

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{
    command,
    dev::{Dev, Starting},
    project::write_function,
};

/// Returns at once.
const COUNT: &str = "exports.handler = async (task) => task.data ?? null;";

/// A service for tests with the Function `count`.
fn service(configuration: &Value) -> (TempDir, Dev) {
    with_function("count", COUNT, configuration, &["--test-clock"])
}

fn with_function(name: &str, code: &str, configuration: &Value, arguments: &[&str]) -> (TempDir, Dev) {
    let home = tempfile::tempdir().unwrap();
    write_function(&home.path().join("functions"), name, code, configuration);
    let dev = Dev::start(home.path(), ["functions"].iter().chain(arguments));
    (home, dev)
}

fn advance(dev: &Dev, seconds: u64) -> Value {
    dev.ask("POST", "/tasklane/v1/test/clock", Some(&json!({ "advance": seconds }))).ok()
}

fn fail(dev: &Dev, times: u64, error: Value) {
    let body = json!({ "functionName": "count", "times": times, "error": error });
    dev.ask("POST", "/tasklane/v1/test/fail", Some(&body)).ok();
}

fn statuses(dev: &Dev) -> Vec<String> {
    let text = |task: &Value| task["status"].as_str().expect("a status").to_owned();
    dev.tasks("sort(creationTimestamp)").iter().map(text).collect()
}

#[test]
fn an_hour_of_a_schedule_passes_at_once() {
    let (_home, dev) = service(&json!({}));
    let cron = json!({ "cron": "*/10 * * * *" });
    // The first occurrence of an interval is now.
    for (recurrence, occurrences) in [(cron, 6), (json!({ "interval": 600 }), 7)] {
        for catch_up in ["none", "latest", "all"] {
            // So that the test's own time does not pass an occurrence of the expression.
            let now: jiff::Timestamp = advance(&dev, 0)["timestamp"].as_str().unwrap().parse().unwrap();
            advance(&dev, 601 - u64::try_from(now.as_second()).unwrap() % 600);
            let mut schedule = json!({ "functionName": "count", "catchUp": catch_up, "overlap": "skip" });
            schedule.as_object_mut().unwrap().extend(recurrence.as_object().unwrap().clone());
            let id = dev.ask("POST", "/tasklane/v1/schedules", Some(&schedule)).ok()["id"].clone();
            let id = id.as_str().unwrap();
            advance(&dev, 3600);
            let tasks = dev.tasks(&format!("eq(scheduleId,{id})&limit(50)"));
            assert_eq!(tasks.len(), occurrences, "{recurrence} {catch_up}: {tasks:?}");
            for task in &tasks {
                assert_eq!(task["status"], "complete");
                assert_eq!(task["startTimestamp"], task["occurrenceTimestamp"]);
            }
            dev.ask("DELETE", &format!("/tasklane/v1/schedules/{id}"), None).ok();
        }
    }
    dev.stop();
}

#[test]
fn retries_come_when_the_clock_says_so() {
    let policy = json!({ "retryPolicy": { "enabled": true, "errorsToRetry": ["CONNECTION_ERROR"] } });
    let (_home, dev) = service(&policy);
    fail(&dev, 2, json!({ "name": "CONNECTION_ERROR", "message": "no route" }));
    dev.create_task("count", json!({ "data": { "n": 1 } }));
    advance(&dev, 0);
    assert_eq!(statuses(&dev), ["retried", "new"]);
    advance(&dev, 2);
    assert_eq!(statuses(&dev), ["retried", "retried", "new"]);
    advance(&dev, 5);
    assert_eq!(statuses(&dev), ["retried", "retried", "complete"]);
    let first = &dev.tasks("sort(creationTimestamp)&limit(1)")[0];
    assert_eq!((&first["error"]["name"], &first["error"]["message"]), (&json!("CONNECTION_ERROR"), &json!("no route")));

    // The policy names the errors to retry, and this is not one of them.
    fail(&dev, 1, Value::Null);
    let task = dev.create_task("count", json!({}));
    advance(&dev, 0);
    let task = dev.task(task["id"].as_str().unwrap());
    assert_eq!((&task["status"], &task["error"]["name"]), (&json!("failed"), &json!("TestFailure")));
    dev.stop();
}

#[test]
fn whatever_waits_for_a_time_follows_the_clock() {
    let (_home, dev) = service(&json!({}));
    let now = advance(&dev, 0)["timestamp"].clone();
    let now: jiff::Timestamp = now.as_str().unwrap().parse().unwrap();
    let later = now + jiff::SignedDuration::from_hours(24);
    // A start, a debounce, the end of patience, and the rate of a key.
    dev.create_task("count", json!({ "startTimestamp": later.to_string() }));
    dev.create_task("count", json!({ "debounce": { "key": "k", "seconds": 600 } }));
    advance(&dev, 599);
    assert_eq!(statuses(&dev), ["new", "new"]);
    advance(&dev, 1);
    assert_eq!(statuses(&dev), ["new", "complete"]);
    advance(&dev, 24 * 3600);
    assert_eq!(statuses(&dev), ["complete", "complete"]);

    let flow = json!({ "key": "data.tenant", "rate": { "count": 1, "seconds": 3600 } });
    dev.ask("PUT", "/tasklane/v1/functions/count/flow", Some(&flow)).ok();
    for _ in 0..3 {
        dev.create_task("count", json!({ "data": { "tenant": "a" } }));
    }
    let complete = || statuses(&dev).iter().filter(|status| *status == "complete").count();
    for done in 3..=5 {
        advance(&dev, 0);
        assert_eq!(complete(), done);
        advance(&dev, 3600);
    }

    dev.ask("POST", "/tasks/v1/functions/count/disable", None).ok();
    let held = dev.create_task("count", json!({ "timeouts": { "queued": 3600 } }));
    advance(&dev, 3599);
    let status = || dev.task(held["id"].as_str().unwrap())["status"].clone();
    assert_eq!(status(), "new");
    advance(&dev, 2);
    assert_eq!(status(), "failed");
    dev.stop();
}

#[test]
fn a_run_in_progress_ends_before_the_clock_moves() {
    let code = "exports.handler = async () => { await new Promise(r => setTimeout(r, 300)); console.log('done'); };";
    let (_home, dev) = with_function("slow", code, &json!({}), &["--test-clock"]);
    let task = dev.create_task("slow", json!({}));
    advance(&dev, 7 * 24 * 3600);
    let id = task["id"].as_str().unwrap();
    assert_eq!(dev.task(id)["status"], "complete");
    // Its lines have the time of its run, and later ones that of theirs.
    for id in [id.to_owned(), dev.create_task("slow", json!({}))["id"].as_str().unwrap().to_owned()] {
        advance(&dev, 0);
        let logs = dev.get(&format!("/tasks/v1/{id}/logs"));
        assert!(logs.to_string().contains("done"), "{logs}");
    }
    dev.stop();
}

#[test]
fn runs_that_begin_while_the_clock_is_set_live_on() {
    let code = "exports.handler = async () => { await new Promise(r => setTimeout(r, 20)); return 'done'; };";
    let (_home, dev) = with_function("slow", code, &json!({}), &["--test-clock", "--concurrency", "20"]);
    let (asker, runtime) = (dev.asker(), tokio::runtime::Runtime::new().unwrap());
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    // Beside the test: executions and Tasks, one after the other.
    let calls = runtime.spawn(async move {
        let mut results = Vec::new();
        while !stopped.is_cancelled() {
            let task = asker.ask("POST", "/tasks/v1/", Some(&json!({ "functionName": "slow" }))).await.unwrap().ok();
            assert_eq!(task["status"], "new");
            let executed = asker.ask("POST", "/tasks/v1/functions/slow/execute", Some(&json!({}))).await.unwrap();
            results.push(executed.ok()["result"].clone());
        }
        results
    });
    for _ in 0..50 {
        advance(&dev, 6 * 3600);
    }
    stop.cancel();
    let results = runtime.block_on(calls).unwrap();
    advance(&dev, 0);
    assert!(!results.is_empty() && results.iter().all(|result| result == "done"), "{results:?}");
    assert_eq!(dev.tasks("ne(status,complete)"), [Value::Null; 0]);
    dev.stop();
}

#[test]
fn signatures_and_tokens_stay_in_the_real_time() {
    let (home, dev) = service(&json!({}));
    advance(&dev, 366 * 24 * 3600);
    command::run(home.path(), ["whoami"]).expect(0);
    // The command prefers the token, so once more with a signature.
    let credentials = home.path().join(".tasklane/credentials");
    let text = fs::read_to_string(&credentials).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("API_ACCESS_TOKEN="));
    fs::write(&credentials, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    command::run(home.path(), ["whoami"]).expect(0);
    dev.stop();
}

#[test]
fn without_the_option_there_is_no_such_endpoint() {
    let (_home, dev) = with_function("count", COUNT, &json!({}), &[]);
    let bodies = [("clock", json!({ "advance": 1 })), ("fail", json!({ "functionName": "count", "times": 1 }))];
    for (endpoint, body) in bodies {
        let answer = dev.ask("POST", &format!("/tasklane/v1/test/{endpoint}"), Some(&body));
        assert_eq!((answer.status, &answer.body["name"]), (404, &json!("ENDPOINT_EXCEPTION")), "{}", answer.body);
    }
    dev.stop();
}

#[test]
fn it_says_when_it_is_ready_and_ends_with_the_program_that_started_it() {
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    write_function(&functions, "count", COUNT, &json!({}));
    fs::create_dir(functions.join("broken")).unwrap();
    fs::write(functions.join("broken/task-config.json"), "{").unwrap();
    let mut command = command::tasklane(home.path());
    command.args(Starting::arguments(home.path())).args(["functions", "--json", "--until-eof"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // What is said to it does not matter.
    stdin.write_all(b"hello\n").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut event = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let listening = event();
    assert_eq!(listening["event"], "listening");
    assert!(listening["url"].as_str().unwrap().starts_with("http://localhost:"), "{listening}");
    assert!(fs::read_to_string(listening["credentials"].as_str().unwrap()).unwrap().contains("API_ACCESS_TOKEN"));
    let ready = event();
    assert_eq!((&ready["event"], &ready["functions"]), (&json!("ready"), &json!(["count"])));
    assert!(ready["refused"][0]["file"].as_str().unwrap().ends_with("broken/task-config.json"), "{ready}");
    assert!(!ready["refused"][0]["message"].as_str().unwrap().is_empty(), "{ready}");
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
