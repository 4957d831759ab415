//! A hundred keys that take turns, one run of each at a time, while the service is killed again and again.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::{bulk::all, id, setting};
use crate::support::{
    dev::{Dev, Starting},
    journal::{Journal, KEEPER, What},
    project::write_function,
    random::Random,
    wait::until,
};

const KEYS: usize = 100;

/// How many Tasks a batch may have.
const BATCH: usize = 100;

/// How many Tasks run at once. A kill can lose at most so many.
const CONCURRENCY: usize = 8;

#[test]
fn keys_of_a_service_that_is_killed_again_and_again_keep_their_limit_and_all_end() {
    let seed = setting("TASKLANE_KILL_SEED").unwrap_or(4711);
    let kills = setting("TASKLANE_FLOW_KILLS").unwrap_or(5);
    let each = usize::try_from(setting("TASKLANE_FLOW_TASKS_OF_A_KEY").unwrap_or(6)).unwrap();
    let mut random = Random::new(seed);
    let home = tempfile::tempdir().unwrap();
    let journal = Journal::open();
    let functions = home.path().join("functions");
    let config = json!({
        "environment": { "JOURNAL": journal.address() },
        "timeLimit": 30,
        "flow": { "key": "data.key", "concurrent": 1 },
    });
    write_function(&functions, "turns", KEEPER, &config);
    let start = || {
        let args = ["--concurrency".into(), CONCURRENCY.to_string().into(), functions.clone().into_os_string()];
        Starting::new(home.path(), args).ready()
    };

    let mut dev = start();
    // Key by key, so that the Tasks of a key come together.
    let tasks: Vec<_> = (0..KEYS * each)
        .map(|n| json!({ "functionName": "turns", "data": { "n": n, "key": n / each, "failures": 0, "takes": 10 } }))
        .collect();
    for batch in tasks.chunks(BATCH) {
        dev.ask("POST", "/tasklane/v1/tasks/batch", Some(&json!({ "tasks": batch }))).ok();
    }
    // How long the journal was when every process of a killed service had died.
    let mut deaths = Vec::new();
    for _ in 0..kills {
        thread::sleep(Duration::from_millis(random.below(1500)));
        dev.kill();
        until("the processes of the Functions have died with the service", || (journal.processes() == 0).then_some(()));
        deaths.push(journal.lines());
        dev = start();
    }
    until("every task has ended", || waiting(&dev).is_empty().then_some(()));
    until("no key is busy", || {
        dev.get("/tasklane/v1/functions/turns/flow")["data"].as_array()?.is_empty().then_some(())
    });

    let ended = all(&dev, "functionName=turns");
    assert_eq!(ended.len(), KEYS * each);
    let lost: BTreeSet<_> = ended.iter().filter(|task| task["status"] == "failed").map(id).collect();
    let most = usize::try_from(kills).unwrap() * CONCURRENCY;
    assert!(lost.len() <= most, "{} tasks were lost; {kills} kills can cost {most}", lost.len());
    for (task, runs) in journal.runs() {
        assert_eq!(runs.began, 1, "{task} ran more than once");
        assert!(runs.ended == 1 || lost.contains(&task), "{task} did not end");
    }
    let key_of: BTreeMap<String, Value> = ended.iter().map(|task| (id(task), task["data"]["key"].clone())).collect();
    one_at_a_time(&journal, &deaths, &key_of);
    eprintln!("{kills} kills, {} Tasks of {KEYS} keys: {} were lost", ended.len(), lost.len());
    dev.stop();
}

/// Checks that of each key one Task runs at a time. What ran when the service was killed does not run any more.
fn one_at_a_time(journal: &Journal, deaths: &[usize], key_of: &BTreeMap<String, Value>) {
    let mut running = BTreeMap::<String, String>::new();
    for (line, (task, what)) in journal.history().into_iter().enumerate() {
        if deaths.contains(&line) {
            running.clear();
        }
        let key = key_of[&task].to_string();
        match what {
            What::Began => {
                let other = running.insert(key.clone(), task.clone());
                assert_eq!(other, None, "{task} began while this one of the same key ({key}) ran");
            }
            What::Ended => assert_eq!(running.remove(&key), Some(task)),
        }
    }
}

fn waiting(dev: &Dev) -> Vec<Value> {
    dev.tasks("functionName=turns&in(status,new,inProgress)&limit(1)")
}
