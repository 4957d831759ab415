//! A `tasklane dev` that starts with the data of an earlier one, which stopped or was killed.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::support::{
    dev::Dev,
    project::write_function,
    stage::{ACTOR, Stage},
    wait::until,
};

/// A Function whose runs report to the stage.
fn actor(home: &Path, stage: &Stage, more: Value) -> std::path::PathBuf {
    let functions = home.join("functions");
    let mut config = json!({ "environment": { "STAGE": stage.url() } });
    config.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    write_function(&functions, "actor", ACTOR, &config);
    functions
}

fn id_of(task: &Value) -> String {
    task["id"].as_str().expect("a Task has an id").to_owned()
}

fn ended(dev: &Dev, id: &str) -> Value {
    until(&format!("task {id} has ended"), || {
        let task = dev.task(id);
        (!["new", "inProgress"].contains(&task["status"].as_str().unwrap())).then_some(task)
    })
}

fn millis(at: SystemTime) -> i64 {
    i64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn everything_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let stage = Stage::open();
    let functions = actor(home.path(), &stage, json!({}));
    let dev = Dev::start(home.path(), [&functions]);
    let done = id_of(&dev.create_task("actor", json!({ "data": { "a": 1 }, "tags": ["kept"] })));
    stage.arrived(1);
    stage.release_all();
    let done_before = ended(&dev, &done);
    let far = json!({ "interval": 3600, "functionName": "actor", "startTimestamp": "2999-01-01T00:00:00.000Z" });
    let schedule = dev.ask("POST", "/tasks/v1/schedules", Some(&far)).ok();
    let waiting = dev.create_task("actor", json!({ "startTimestamp": "2999-01-01T00:00:00.000Z" }));
    let function = dev.get("/tasks/v1/functions/actor");
    let logs = dev.get(&format!("/tasks/v1/{done}/logs"));
    let token = dev.credentials()["API_ACCESS_TOKEN"].clone();
    dev.stop();

    let dev = Dev::start(home.path(), [&functions]);
    assert_eq!(dev.credentials()["API_ACCESS_TOKEN"], token, "stored credentials stay valid");
    assert_eq!(dev.credentials()["API_HOST"], dev.base_url());
    assert_eq!(dev.task(&done), done_before);
    assert_eq!(dev.task(&id_of(&waiting)), waiting);
    assert_eq!(dev.get("/tasks/v1/schedules")["data"], json!([schedule]));
    assert_eq!(dev.get("/tasks/v1/functions/actor"), function, "an unchanged Function is not written again");
    assert_eq!(dev.get(&format!("/tasks/v1/{done}/logs")), logs);
    dev.stop();
}

#[test]
fn tasks_that_became_due_meanwhile_run() {
    let home = tempfile::tempdir().unwrap();
    let stage = Stage::open();
    let functions = actor(home.path(), &stage, json!({}));
    let dev = Dev::start(home.path(), [&functions]);
    let due = SystemTime::now() + Duration::from_secs(3);
    let task = id_of(&dev.create_task("actor", json!({ "startTimestamp": timestamp(due) })));
    dev.stop();
    assert!(stage.bodies().is_empty(), "it ran before its time");
    until("it is due", || (SystemTime::now() > due).then_some(()));

    let dev = Dev::start(home.path(), [&functions]);
    stage.arrived(1);
    stage.release_all();
    assert_eq!(ended(&dev, &task)["status"], "complete");
    dev.stop();
    assert_eq!(stage.bodies().len(), 1);
}

#[test]
fn after_a_long_stop_a_schedule_creates_one_task() {
    let home = tempfile::tempdir().unwrap();
    let stage = Stage::open();
    let functions = actor(home.path(), &stage, json!({}));
    let dev = Dev::start(home.path(), [&functions]);
    let body = json!({ "interval": 1, "functionName": "actor" });
    let schedule = dev.ask("POST", "/tasks/v1/schedules", Some(&body)).ok();
    let id = schedule["id"].as_str().unwrap();
    stage.arrived(1);
    stage.release_all();
    dev.stop();
    let stopped = SystemTime::now();
    let started = stopped + Duration::from_secs(6);
    until("it was stopped for a while", || (SystemTime::now() > started).then_some(()));

    let before = stage.bodies().len();
    let dev = Dev::start(home.path(), [&functions]);
    let starts_at = |task: &Value| task["startTimestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    stage.arrived(before + 2);
    stage.release_all();
    dev.ask("DELETE", &format!("/tasks/v1/schedules/{id}"), None).ok();
    let tasks = dev.tasks("eq(functionName,actor)&sort(startTimestamp)&limit(50)");
    let starts: Vec<_> = tasks.iter().map(|task| starts_at(task).as_millisecond()).collect();
    let mut unique = starts.clone();
    unique.dedup();
    assert_eq!(unique, starts, "an occurrence ran twice");
    let first = starts_at(&schedule).as_millisecond();
    assert!(starts.iter().all(|at| (at - first) % 1000 == 0), "it drifted: {starts:?}");
    // The time of the stop, without a second at either end, where the order of events is unknown.
    let missed = millis(stopped) + 1000..millis(started) - 1000;
    let made_up = starts.iter().filter(|at| missed.contains(at)).count();
    assert!(made_up <= 1, "{made_up} Tasks for the occurrences that were missed: {starts:?}");
    stage.release_all();
    dev.stop();
}

#[test]
fn after_an_interrupt_running_tasks_end_normally() {
    let home = tempfile::tempdir().unwrap();
    let stage = Stage::open();
    let functions = actor(home.path(), &stage, json!({}));
    let mut dev = Dev::start(home.path(), [&functions]);
    let running = id_of(&dev.create_task("actor", json!({})));
    stage.arrived(1);
    let said = dev.stderr().len();
    dev.interrupt();
    until("it announces that it is stopping", || (dev.stderr().len() > said).then_some(()));
    assert!(dev.is_running(), "it left a run behind");
    stage.release_all();
    let status = dev.ended();
    assert!(status.success(), "it ended with {status}");

    let dev = Dev::start(home.path(), [&functions]);
    assert_eq!(dev.task(&running)["status"], "complete");
    dev.stop();
    assert_eq!(stage.bodies().len(), 1, "it ran again");
}

#[test]
fn a_kill_loses_no_task_and_runs_none_twice() {
    let home = tempfile::tempdir().unwrap();
    let stage = Stage::open();
    let functions = actor(home.path(), &stage, json!({ "timeLimit": 60 }));
    let with = ["--concurrency".as_ref(), "2".as_ref(), functions.as_os_str()];
    let dev = Dev::start(home.path(), with);
    let ids: Vec<_> = (0..6).map(|n| id_of(&dev.create_task("actor", json!({ "data": n })))).collect();
    stage.arrived(2);
    dev.kill();
    let begun: Vec<_> = stage.bodies().iter().map(id_of).collect();
    assert_eq!(begun.len(), 2);
    stage.release_all();

    let dev = Dev::start(home.path(), with);
    for id in &ids {
        let task = until(&format!("task {id} has ended"), || {
            stage.release_all();
            let task = dev.task(id);
            (!["new", "inProgress"].contains(&task["status"].as_str().unwrap())).then_some(task)
        });
        if begun.contains(id) {
            assert_eq!(task["status"], "failed", "{task}");
            assert_eq!(task["error"]["name"], "zombieTaskCleaned", "{task}");
        } else {
            assert_eq!(task["status"], "complete", "{task}");
        }
    }
    dev.stop();
    let mut runs: Vec<_> = stage.bodies().iter().map(id_of).collect();
    runs.sort_unstable();
    let mut expected = ids;
    expected.sort_unstable();
    assert_eq!(runs, expected, "each Task runs once");
}

fn timestamp(at: SystemTime) -> String {
    jiff::Timestamp::from_millisecond(millis(at)).unwrap().to_string()
}
