//! A bulk operation on many Tasks, while the service is killed again and again.

use std::{collections::BTreeMap, thread, time::Duration};

use serde_json::{Value, json};

use super::setting;
use crate::support::{dev::Starting, project::write_function, random::Random, wait::until};

const NOTHING: &str = "exports.handler = async () => null;";

/// How many Tasks a batch may have.
const BATCH: usize = 100;

#[test]
fn a_bulk_replay_of_a_service_that_is_killed_again_and_again_ends_exact() {
    let seed = setting("TASKLANE_KILL_SEED").unwrap_or(4711);
    let kills = setting("TASKLANE_BULK_KILLS").unwrap_or(5);
    let tasks = usize::try_from(setting("TASKLANE_BULK_TASKS").unwrap_or(1000)).unwrap();
    let mut random = Random::new(seed);
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    write_function(&functions, "idle", NOTHING, &json!({}));
    let start = || Starting::new(home.path(), [functions.clone()]).ready();

    let dev = start();
    // Nothing runs, so that everything that there is was made by the operations.
    dev.ask("POST", "/tasks/v1/functions/idle/disable", None).ok();
    for first in (0..tasks).step_by(BATCH) {
        let batch: Vec<_> = (first..tasks.min(first + BATCH))
            .map(|n| json!({ "functionName": "idle", "data": n, "tags": ["original"] }))
            .collect();
        dev.ask("POST", "/tasklane/v1/tasks/batch", Some(&json!({ "tasks": batch }))).ok();
    }
    let cancel = json!({ "action": "cancel", "rql": "tags=original", "reason": "to replay them" });
    let canceled = ended(&dev, &dev.ask("POST", "/tasklane/v1/bulk", Some(&cancel)).ok());
    assert_eq!((&canceled["done"], &canceled["skipped"]), (&json!(tasks), &json!([])));

    let replay = json!({ "action": "replay", "rql": "status=canceled", "perSecond": 300 });
    let created = dev.ask("POST", "/tasklane/v1/bulk", Some(&replay)).ok();
    assert_eq!((&created["matches"], &created["matchesIsExact"]), (&json!(tasks), &json!(true)));
    let mut dev = dev;
    for _ in 0..kills {
        thread::sleep(Duration::from_millis(random.below(700)));
        dev.kill();
        dev = start();
    }
    let replayed = ended(&dev, &created);
    assert_eq!((&replayed["done"], &replayed["skipped"]), (&json!(tasks), &json!([])), "{replayed}");

    // Every Task was replayed once, with its data.
    let mut of: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for task in all(&dev, "status=new") {
        of.entry(task["replayOf"].as_str().expect("a replay").to_owned()).or_default().push(task["data"].clone());
    }
    let originals = all(&dev, "status=canceled");
    assert_eq!((originals.len(), of.len()), (tasks, tasks));
    for task in originals {
        assert_eq!(of[task["id"].as_str().unwrap()], [task["data"].clone()]);
    }
    dev.stop();
}

/// The operation, once it has ended.
fn ended(dev: &crate::support::dev::Dev, created: &Value) -> Value {
    let path = format!("/tasklane/v1/bulk/{}", created["id"].as_str().expect("an operation"));
    until("the operation is complete", || Some(dev.get(&path)).filter(|bulk| bulk["status"] == "complete"))
}

/// All Tasks that match.
pub(super) fn all(dev: &crate::support::dev::Dev, rql: &str) -> Vec<Value> {
    let (mut tasks, mut after) = (Vec::new(), "000000000000000000000000".to_owned());
    loop {
        let page = dev.tasks(&format!("{rql}&gt(id,{after})&sort(id)&limit(50)&skipCount()"));
        let Some(last) = page.last() else { return tasks };
        after = last["id"].as_str().expect("an id").to_owned();
        tasks.extend(page);
    }
}
