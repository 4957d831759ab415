//! Damage from outside: a full disk, and a store that was truncated or overwritten.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{
    dev::{Dev, Starting},
    project::write_function,
    wait::until,
};

const GREETER: &str = "exports.handler = async event => event.data.slice(0, 10);";

fn functions(home: &Path) -> std::path::PathBuf {
    let functions = home.join("functions");
    write_function(&functions, "greeter", GREETER, &json!({}));
    functions
}

fn id_of(task: &Value) -> &str {
    task["id"].as_str().expect("a Task has an id")
}

fn ended(dev: &Dev, id: &str) -> Value {
    until(&format!("task {id} has ended"), || {
        let task = dev.task(id);
        (!["new", "inProgress"].contains(&task["status"].as_str().unwrap())).then_some(task)
    })
}

/// A `tasklane dev` that cannot write larger files than this, as if the disk were full. Works for root, too.
fn with_room_for(kibibytes: u64, home: &Path, functions: &Path) -> Starting {
    let mut command = Command::new("sh");
    // The soft limit, because it can be raised again; and without the signal, which would end the process.
    let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$@\"", kibibytes * 2);
    let plain = crate::support::command::tasklane(home);
    command.args(["-c", &script, "sh"]).arg(plain.get_program());
    command.args(Starting::arguments(home)).arg(functions);
    command.current_dir(home).env("HOME", home).stdin(std::process::Stdio::null());
    Starting::spawn(home, command)
}

/// Removes the limit.
fn make_room(dev: &Dev) {
    let script = "import resource, sys; no = resource.RLIM_INFINITY; \
                  resource.prlimit(int(sys.argv[1]), resource.RLIMIT_FSIZE, (no, no))";
    let lifted = Command::new("python3").args(["-c", script, &dev.process().to_string()]).output();
    let lifted = lifted.unwrap_or_else(|e| panic!("python3 does not start ({e}): install Python 3.11 or later."));
    assert!(lifted.status.success(), "{}", String::from_utf8_lossy(&lifted.stderr));
}

#[test]
fn a_full_disk_loses_nothing_acknowledged_and_with_space_the_service_continues() {
    let home = tempfile::tempdir().unwrap();
    let functions = functions(home.path());
    Dev::start(home.path(), [&functions]).stop();

    let dev = with_room_for(2048, home.path(), &functions).ready();
    let large = json!({ "functionName": "greeter", "data": "x".repeat(200_000) });
    let mut acknowledged = Vec::new();
    let refused = loop {
        let answer = dev.ask("POST", "/tasks/v1/", Some(&large));
        match answer.status {
            200 => acknowledged.push(id_of(&answer.body).to_owned()),
            _ => break answer,
        }
        assert!(acknowledged.len() < 500, "the disk was not full");
    };
    assert_eq!((refused.status, &refused.body["name"]), (500, &json!("SERVER_EXCEPTION")), "{}", refused.body);
    assert!(!acknowledged.is_empty());
    // It still runs, and reads work.
    let last = acknowledged.last().unwrap();
    assert_eq!(id_of(&dev.task(last)), last);

    make_room(&dev);
    acknowledged.push(id_of(&dev.ask("POST", "/tasks/v1/", Some(&large)).ok()).to_owned());
    for id in &acknowledged {
        assert_eq!(ended(&dev, id)["status"], "complete");
    }
    dev.stop();
    let dev = Dev::start(home.path(), [&functions]);
    for id in &acknowledged {
        assert_eq!(dev.task(id)["status"], "complete");
    }
    dev.stop();
}

#[test]
fn a_start_on_a_full_disk_fails_with_a_message_and_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let functions = functions(home.path());
    let (status, stderr) = with_room_for(4, home.path(), &functions).refused();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("database.sqlite"), "{stderr}");

    let dev = Dev::start(home.path(), [&functions]);
    let id = id_of(&dev.create_task("greeter", json!({ "data": "some text" }))).to_owned();
    assert_eq!(ended(&dev, &id)["status"], "complete");
    // Killed, so that the last writes are in the write-ahead log.
    dev.kill();
    let (status, stderr) = with_room_for(4, home.path(), &functions).refused();
    assert_eq!(status.code(), Some(2), "{stderr}");
    let dev = Dev::start(home.path(), [&functions]);
    assert_eq!(dev.task(&id)["status"], "complete");
    dev.stop();
}

#[test]
fn a_truncated_or_overwritten_store_is_refused_and_left_unchanged() {
    let home = tempfile::tempdir().unwrap();
    let functions = functions(home.path());
    let dev = Dev::start(home.path(), [&functions]);
    let far = json!({ "data": "x".repeat(20_000), "startTimestamp": "2999-01-01T00:00:00.000Z" });
    let tasks: Vec<Value> = (0..10).map(|_| dev.create_task("greeter", far.clone())).collect();
    dev.stop();

    let file = home.path().join(".tasklane/database.sqlite");
    let whole = fs::read(&file).unwrap();
    let page = |number: usize| number * 4096..(number + 1) * 4096;
    let middle = whole.len() / 4096 / 2;
    let over = |range: std::ops::Range<usize>, byte: u8| {
        let mut damaged = whole.clone();
        damaged[range].fill(byte);
        damaged
    };
    for (what, damaged) in [
        ("empty", Vec::new()),
        ("cut within its first page", whole[..1000].to_vec()),
        ("cut in the middle", whole[..whole.len() / 2].to_vec()),
        ("short of its last page", whole[..whole.len() - 4096].to_vec()),
        ("written over at its start", over(0..100, 0)),
        ("written over in its first page", over(100..4096, 0xff)),
        ("written over in the middle", over(page(middle), 0xa5)),
        ("written over whole", b"something else, longer than a header\n".repeat(1000)),
    ] {
        fs::write(&file, &damaged).unwrap();
        let (status, stderr) = Starting::new(home.path(), [&functions]).refused();
        assert_eq!(status.code(), Some(2), "{what}: {stderr}");
        for part in ["database.sqlite", "left as it is"] {
            assert!(stderr.contains(part), "{what}: no '{part}' in: {stderr}");
        }
        assert!(!stderr.contains("panicked"), "{what}: {stderr}");
        assert!(fs::read(&file).unwrap() == damaged, "{what}: it was changed further");
    }

    fs::write(&file, &whole).unwrap();
    let dev = Dev::start(home.path(), [&functions]);
    for task in &tasks {
        assert_eq!(dev.task(id_of(task)), *task);
    }
    dev.stop();
}
