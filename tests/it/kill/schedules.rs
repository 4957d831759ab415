//! A hundred Schedules that are due each second, while the service is killed again and again.

use std::{collections::BTreeMap, thread, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{bulk::all, setting};
use crate::support::{dev::Starting, project::write_function, random::Random, wait::until};

const NOTHING: &str = "exports.handler = async () => null;";

const SCHEDULES: usize = 100;

#[test]
fn schedules_of_a_service_that_is_killed_again_and_again_have_each_occurrence_once() {
    let seed = setting("TASKLANE_KILL_SEED").unwrap_or(4711);
    let kills = setting("TASKLANE_SCHEDULE_KILLS").unwrap_or(4);
    let mut random = Random::new(seed);
    let home = tempfile::tempdir().unwrap();
    let functions = home.path().join("functions");
    write_function(&functions, "idle", NOTHING, &json!({ "concurrencyLimit": 1 }));
    let start = || Starting::new(home.path(), [functions.clone()]).ready();

    let mut dev = start();
    let ids: Vec<String> = (0..SCHEDULES)
        .map(|number| {
            let mut schedule = json!({ "functionName": "idle", "catchUp": "all", "data": number });
            match number % 2 {
                0 => schedule["interval"] = json!(1),
                _ => schedule["cron"] = json!("* * * * * *"),
            }
            let schedule = dev.ask("POST", "/tasklane/v1/schedules", Some(&schedule)).ok();
            schedule["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    for _ in 0..kills {
        thread::sleep(Duration::from_millis(random.below(1500)));
        dev.kill();
        dev = start();
    }
    let ready = Timestamp::now();
    let last = ids.last().expect("a schedule");
    until("the last schedule has gone on for a while", || {
        let after = ready + jiff::SignedDuration::from_secs(3);
        (!dev.tasks(&format!("scheduleId={last}&gt(occurrenceTimestamp,{after})")).is_empty()).then_some(())
    });
    for id in &ids {
        dev.ask("DELETE", &format!("/tasklane/v1/schedules/{id}"), None).ok();
    }

    let mut of: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut late = Vec::new();
    for task in all(&dev, "functionName=idle") {
        let at = |name: &str| time(&task[name]);
        let occurrence = at("occurrenceTimestamp");
        of.entry(task["scheduleId"].as_str().expect("a schedule's task").to_owned())
            .or_default()
            .push(occurrence.as_millisecond());
        assert!(at("creationTimestamp") >= occurrence, "{task} exists before its time");
        if occurrence > ready {
            late.push(at("creationTimestamp").as_millisecond() - occurrence.as_millisecond());
        }
    }
    assert_eq!(of.len(), SCHEDULES);
    for (schedule, mut occurrences) in of {
        occurrences.sort_unstable();
        for pair in occurrences.windows(2) {
            assert_eq!(pair[1] - pair[0], 1000, "{schedule}: one is missing or there twice between {pair:?}");
        }
    }
    late.sort_unstable();
    // No promise that a test could check: this machine does other things, too.
    eprintln!(
        "{} occurrences of {SCHEDULES} schedules, after the last start: late {} ms (p50), {} ms (p99)",
        late.len(),
        late[late.len() / 2],
        late[late.len() * 99 / 100],
    );
    dev.stop();
}

fn time(value: &Value) -> Timestamp {
    value.as_str().expect("a time").parse().expect("a time")
}
