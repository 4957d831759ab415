//! Real kill -9: a `tasklane dev` under load is killed at random times, again and again. At the end, everything that it
//! acknowledged must be accounted for.
//!
//! `TASKLANE_KILLS`, `TASKLANE_KILL_TASKS` and `TASKLANE_KILL_SEED` make it longer, or repeat a run:
//!
//! ```sh
//! TASKLANE_KILLS=300 TASKLANE_KILL_TASKS=20000 cargo test --test it kill -- --nocapture
//! ```

mod account;
mod bulk;
mod everything;
mod flow;
mod ledger;
mod load;
mod schedules;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::support::{
    dev::{Dev, Starting},
    journal::{Journal, KEEPER},
    project::write_function,
    random::Random,
    wait::until,
};

use self::{account::Account, ledger::Ledger, load::Load};

/// How many queued Tasks and how many direct executions may run at once. A kill can lose at most the sum of both.
const CONCURRENCY: usize = 5;

/// The latest time of a kill, after the service is ready.
const LATEST_KILL_MILLIS: u64 = 1200;

#[test]
fn a_service_killed_at_random_times_loses_nothing_and_runs_nothing_twice() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let seed = setting("TASKLANE_KILL_SEED").unwrap_or(u64::from(now));
    let kills = setting("TASKLANE_KILLS").unwrap_or(30);
    let tasks = usize::try_from(setting("TASKLANE_KILL_TASKS").unwrap_or(2000)).unwrap();
    // Shown when the test fails.
    eprintln!("the moments of the kills and the load come from TASKLANE_KILL_SEED={seed}");

    let began = Instant::now();
    let mut random = Random::new(seed);
    let home = tempfile::tempdir().unwrap();
    let journal = Journal::open();
    let service = Service { functions: write_functions(home.path(), &journal), home: home.path(), journal: &journal };
    let ledger = Ledger::default();

    service.prepare(&ledger);
    for kill in 1..=kills {
        let target = tasks * usize::try_from(kill).unwrap() / usize::try_from(kills).unwrap();
        // Some kills come before it is ready, so that starts are interrupted, too.
        if random.percent(15) {
            let starting = service.spawn();
            thread::sleep(Duration::from_millis(random.below(400)));
            starting.kill();
        } else {
            let dev = service.spawn().ready();
            ledger.check_after_restart(&dev, &mut random);
            let killed = AtomicBool::new(false);
            thread::scope(|threads| {
                let load = Load::new(&dev, &ledger, &killed, target, random.fork());
                let load = threads.spawn(move || load.run());
                thread::sleep(Duration::from_millis(random.below(LATEST_KILL_MILLIS)));
                killed.store(true, Ordering::SeqCst);
                dev.kill();
                load.join().expect("the load ends with the service");
            });
        }
        until("the processes of the Functions have died with the service", || (journal.processes() == 0).then_some(()));
    }

    let survived = began.elapsed();

    let dev = service.spawn().ready();
    ledger.check_after_restart(&dev, &mut random);
    Load::new(&dev, &ledger, &AtomicBool::new(false), tasks, random.fork()).run_to_target();
    service.finish(dev, &ledger, kills, tasks);
    eprintln!("{kills} kills in {survived:.1?}, accounted for after {:.1?}", began.elapsed());
}

/// A number that makes a run longer, or repeats it, if the environment has it.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}

/// The id of a Task.
fn id(task: &Value) -> String {
    task["id"].as_str().expect("an id").to_owned()
}

/// The service that is killed and restarted.
struct Service<'a> {
    home: &'a Path,
    functions: PathBuf,
    journal: &'a Journal,
}

impl Service<'_> {
    fn spawn(&self) -> Starting {
        let concurrency = CONCURRENCY.to_string();
        let args: [OsString; 3] = ["--concurrency".into(), concurrency.into(), self.functions.clone().into()];
        Starting::new(self.home, args)
    }

    /// A Function that is disabled before the first kill, with Tasks that must wait through all kills.
    fn prepare(&self, ledger: &Ledger) {
        let dev = self.spawn().ready();
        dev.ask("POST", "/tasks/v1/functions/parked/disable", None).ok();
        for _ in 0..3 {
            let sent = ledger.next("parked", 0);
            let task = dev.create_task("parked", json!({ "data": sent.data() }));
            ledger.created(&task, &sent);
        }
        dev.stop();
    }

    /// Waits until all Tasks have ended, and checks the account.
    fn finish(&self, dev: Dev, ledger: &Ledger, kills: u64, tasks: usize) {
        dev.ask("POST", "/tasks/v1/functions/switched/enable", None).ok();
        ledger.delete_schedules(&dev);
        while !self.has_ended(|| Account::take(&dev, BTreeMap::new()).unfinished_but_of("parked").is_empty()) {}
        let parked = || dev.tasks("eq(functionName,parked)");
        let waits = |task: &Value| task["status"] == "new";
        assert_eq!(parked().len(), 3);
        assert!(parked().iter().all(waits), "Tasks of a disabled Function did not wait: {:?}", parked());
        dev.ask("POST", "/tasks/v1/functions/parked/enable", None).ok();
        let complete = |task: &Value| task["status"] == "complete";
        until("the parked Tasks have ended", || parked().iter().all(complete).then_some(()));

        let account = Account::take(&dev, self.journal.runs());
        let events = dev.data_dir().join("events.jsonl");
        until("each failure is published", || account.unpublished(&events).is_empty().then_some(()));
        dev.stop();
        account.check_events(&events);
        account.check_tasks();
        account.check_chains();
        account.check_occurrences();
        account.check_against(ledger);
        let zombies = account.zombies();
        let most = usize::try_from(kills).unwrap() * 2 * CONCURRENCY;
        assert!(zombies <= most, "{zombies} Tasks were given up; {kills} kills can cost {most}");
        assert!(ledger.acknowledged() >= tasks, "the load did not reach {tasks} Tasks");
        eprintln!("{kills} kills: {}; {}", ledger.summary(), account.summary());
    }

    /// Waits until all Tasks have ended, as long as there is progress: on a slow machine this can take long.
    fn has_ended(&self, all_ended: impl Fn() -> bool) -> bool {
        let start = self.journal.lines();
        let (mut lines, mut still) = (start, 0);
        until("the Tasks make progress, or all have ended", || {
            // Listing Tasks is work for the service, so it is not done too often.
            let now = self.journal.lines();
            still = if now == lines { still + 1 } else { 0 };
            lines = now;
            if still > 20 && all_ended() { Some(true) } else { (now > start + 100).then_some(false) }
        })
    }
}

fn write_functions(home: &Path, journal: &Journal) -> PathBuf {
    let folder = home.join("functions");
    let write = |name: &str, more: Value| {
        let mut config = json!({ "environment": { "JOURNAL": journal.address() }, "timeLimit": 30 });
        config.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        write_function(&folder, name, KEEPER, &config);
    };
    for name in ["worker", "switched", "parked", "scheduled"] {
        write(name, json!({}));
    }
    write("retried", json!({ "retryPolicy": { "enabled": true, "errorsToRetry": ["TOLD"] } }));
    folder
}
