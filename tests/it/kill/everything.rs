//! Everything that a Task can ask for at once, while the service is killed again and again: idempotency keys, results, what
//! comes next, debounce, expiry, retries, cancellation and a bulk replay.
//!
//! A client that was cut off sends its call again with the same key, as clients do.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::{bulk::all, id, setting};
use crate::support::{
    dev::{Asker, Dev, Starting},
    journal::{Journal, KEEPER},
    project::write_function,
    random::Random,
    wait::until,
};

const CLIENTS: usize = 6;

/// How many Tasks run at once. A kill can lose at most so many.
const CONCURRENCY: usize = 5;

/// How many Tasks are debounced together, by key.
const DOCUMENTS: u64 = 5;

#[test]
fn with_everything_at_work_a_service_that_is_killed_keeps_each_promise() {
    let seed = setting("TASKLANE_KILL_SEED").unwrap_or(4711);
    let kills = setting("TASKLANE_EVERYTHING_KILLS").unwrap_or(6);
    let mut random = Random::new(seed);
    let home = tempfile::tempdir().unwrap();
    let journal = Journal::open();
    let functions = write_functions(home.path(), &journal);
    let start = || {
        let args = ["--concurrency".into(), CONCURRENCY.to_string().into(), functions.clone().into_os_string()];
        Starting::new(home.path(), args).ready()
    };

    let mut dev = start();
    dev.ask("POST", "/tasks/v1/functions/parked/disable", None).ok();
    let book = Mutex::new(Book::default());
    for kill in 0..kills {
        let killed = AtomicBool::new(false);
        thread::scope(|threads| {
            let load = Load { asker: dev.asker(), book: &book, killed: &killed };
            let random_of_load = random.fork();
            let load = threads.spawn(move || load.run(random_of_load, kill == kills / 2));
            thread::sleep(Duration::from_millis(200 + random.below(1200)));
            killed.store(true, Ordering::SeqCst);
            dev.kill();
            load.join().expect("the load ends with the service");
        });
        until("the processes of the Functions have died with the service", || (journal.processes() == 0).then_some(()));
        dev = start();
    }
    send_again(&dev, &book);
    until("every task has ended", || dev.tasks("in(status,new,inProgress)&limit(1)").is_empty().then_some(()));
    let operations = until("the operations have ended", || {
        let operations = dev.get("/tasklane/v1/bulk")["data"].as_array().expect("a list").clone();
        operations.iter().all(|operation| operation["status"] == "complete").then_some(operations)
    });
    // A replay may have created more.
    until("every task has ended", || dev.tasks("in(status,new,inProgress)&limit(1)").is_empty().then_some(()));

    let book = book.into_inner().unwrap();
    let account = Account::take(&dev);
    account.has_one_task_for_each_key(&book);
    account.has_one_follower_for_each_end();
    account.has_results(&dev);
    account.has_expired_tasks_that_never_ran(&journal);
    account.has_each_element_once(&book);
    account.has_replayed_once(&operations);
    for (task, runs) in journal.runs() {
        assert_eq!(runs.began, 1, "{task} ran more than once");
    }
    let lost = account.tasks.values().filter(|task| task["error"]["name"] == "zombieTaskCleaned").count();
    let most = usize::try_from(kills).unwrap() * CONCURRENCY;
    assert!(lost <= most, "{lost} tasks were lost; {kills} kills can cost {most}");
    let (tasks, calls) = (account.tasks.len(), book.orders.len() + book.elements.len());
    eprintln!("{kills} kills, {calls} calls, {tasks} Tasks: {lost} were lost, {} calls sent again", book.again);
    dev.stop();
}

/// `work` does what its data says, `parked` is disabled, `next` comes after both, `index` is debounced.
fn write_functions(home: &Path, journal: &Journal) -> std::path::PathBuf {
    let folder = home.join("functions");
    for (name, more) in [
        (
            "work",
            json!({ "storeResult": true, "retryPolicy": { "enabled": true, "errorsToRetry": ["TOLD"],
            "strategy": { "maxRetries": 2, "backoff": "fixed", "baseSeconds": 1 } } }),
        ),
        ("parked", json!({ "timeouts": { "queued": 1 } })),
    ] {
        let mut config = json!({ "environment": { "JOURNAL": journal.address() } });
        config.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        write_function(&folder, name, KEEPER, &config);
    }
    for name in ["next", "index"] {
        write_function(&folder, name, "exports.handler = async () => null;", &json!({}));
    }
    folder
}

/// What the clients asked for.
#[derive(Default)]
struct Book {
    /// Bodies with an idempotency key, and the id of the Task, once a response has come.
    orders: Vec<(Value, Option<String>)>,
    /// Elements that were appended to a document, and whether a response has come.
    elements: Vec<(u64, bool)>,
    /// How many calls were sent again.
    again: usize,
}

struct Load<'a> {
    asker: Asker,
    book: &'a Mutex<Book>,
    killed: &'a AtomicBool,
}

impl Load<'_> {
    /// Sends calls until the service is gone. One of them replays what has failed, if `replays`.
    fn run(self, mut random: Random, replays: bool) {
        let randoms: Vec<_> = (0..CLIENTS).map(|_| random.fork()).collect();
        let clients = randoms.into_iter().enumerate().map(|(n, random)| self.client(random, replays && n == 0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(futures::future::join_all(clients));
    }

    async fn client(&self, mut random: Random, replays: bool) {
        if replays {
            let replay = json!({ "action": "replay", "rql": "status=failed&functionName=parked", "perSecond": 50 });
            let Some(_) = self.ask("/tasklane/v1/bulk", &replay).await else { return };
        }
        loop {
            let went_on = match random.below(100) {
                0..20 => self.append(&mut random).await,
                20..30 => self.cancel(&mut random).await,
                30..45 => self.order("parked", &mut random).await.is_some(),
                _ => self.order("work", &mut random).await.is_some(),
            };
            if !went_on {
                assert!(self.killed.load(Ordering::SeqCst), "the service stopped answering before it was killed");
                return;
            }
        }
    }

    /// Creates a Task under a key. `None` if no response came.
    async fn order(&self, function: &str, random: &mut Random) -> Option<Value> {
        let failures = random.below(4).saturating_sub(1);
        self.send_order(
            json!({ "functionName": function, "data": { "failures": failures, "takes": random.below(20) } }),
        )
        .await
    }

    async fn cancel(&self, random: &mut Random) -> bool {
        let data = json!({ "failures": 0, "takes": random.below(20) });
        let far =
            json!({ "functionName": "work", "startTimestamp": "2100-01-01T00:00:00Z", "data": data, "tags": ["far"] });
        let Some(task) = self.send_order(far).await else { return false };
        let id = task["id"].as_str().expect("an id");
        self.ask(&format!("/tasks/v1/{id}/cancel"), &Value::Null).await.is_some()
    }

    async fn send_order(&self, mut body: Value) -> Option<Value> {
        let n = {
            let mut book = self.book.lock().unwrap();
            let n = book.orders.len();
            body["data"]["n"] = n.into();
            body["idempotencyKey"] = format!("order-{n}").into();
            body["onComplete"] = json!({ "functionName": "next", "data": n });
            book.orders.push((body.clone(), None));
            n
        };
        let task = self.ask("/tasks/v1/", &body).await?;
        self.book.lock().unwrap().orders[n].1 = Some(id(&task));
        Some(task)
    }

    /// Adds an element to a document.
    async fn append(&self, random: &mut Random) -> bool {
        let element = {
            let mut book = self.book.lock().unwrap();
            let element = book.elements.len();
            book.elements.push((element as u64, false));
            element
        };
        let key = format!("document-{}", random.below(DOCUMENTS));
        let debounce = json!({ "key": key, "seconds": 1, "mode": "append" });
        let body = json!({ "functionName": "index", "data": element, "debounce": debounce });
        let Some(_) = self.ask("/tasks/v1/", &body).await else { return false };
        self.book.lock().unwrap().elements[element].1 = true;
        true
    }

    async fn ask(&self, path: &str, body: &Value) -> Option<Value> {
        self.asker.ask("POST", path, Some(body)).await.ok().map(|answer| answer.ok())
    }
}

/// Sends the calls that were cut off again, and cancels what would start in a hundred years.
fn send_again(dev: &Dev, book: &Mutex<Book>) {
    let mut book = book.lock().unwrap();
    let mut again = 0;
    for (body, created) in &mut book.orders {
        // Others are repeated, too: that must change nothing.
        let is_new = created.is_none();
        let task = dev.ask("POST", "/tasks/v1/", Some(body)).ok();
        let found = created.get_or_insert_with(|| id(&task));
        assert_eq!(*found, id(&task), "{body} has made two tasks");
        again += usize::from(is_new);
    }
    book.again = again;
    for task in all(dev, "tags=far&status=new") {
        dev.ask("POST", &format!("/tasks/v1/{}/cancel", id(&task)), None).ok();
    }
}

/// All Tasks, once all have ended.
struct Account {
    tasks: BTreeMap<String, Value>,
}

impl Account {
    fn take(dev: &Dev) -> Self {
        let functions = ["work", "parked", "next", "index"];
        let tasks = functions.iter().flat_map(|name| all(dev, &format!("functionName={name}")));
        Self { tasks: tasks.map(|task| (id(&task), task)).collect() }
    }

    fn of<'a>(&'a self, function: &'a str) -> impl Iterator<Item = &'a Value> {
        self.tasks.values().filter(move |task| task["functionName"] == function)
    }

    fn has_one_task_for_each_key(&self, book: &Book) {
        let mut firsts = BTreeMap::<u64, Vec<String>>::new();
        let first = |task: &&Value| task["retryForTaskIds"].is_null() && task["replayOf"].is_null();
        for task in self.of("work").chain(self.of("parked")).filter(first) {
            firsts.entry(task["data"]["n"].as_u64().expect("a number")).or_default().push(id(task));
        }
        for (n, (body, created)) in book.orders.iter().enumerate() {
            let created = created.clone().expect("each call was answered in the end");
            assert_eq!(firsts.remove(&(n as u64)), Some(vec![created]), "{body}");
        }
        assert_eq!(firsts, BTreeMap::new(), "nobody asked for these");
    }

    /// After each chain of retries one Task has come, which knows how it ended.
    fn has_one_follower_for_each_end(&self) {
        let mut after = BTreeMap::<String, Vec<&Value>>::new();
        for follower in self.of("next") {
            after.entry(id(&follower["data"]["task"])).or_default().push(follower);
        }
        for task in self.of("work").chain(self.of("parked")).filter(|task| task["status"] != "retried") {
            let followers = after.remove(&id(task)).unwrap_or_default();
            let [follower] = followers.as_slice() else { panic!("after {task} came {followers:?}") };
            assert_eq!(follower["data"]["task"]["status"], task["status"], "{follower} does not know how {task} ended");
            assert_eq!(follower["data"]["context"], task["data"]["n"]);
        }
        assert_eq!(after, BTreeMap::new(), "these follow a task that did not end");
    }

    fn has_results(&self, dev: &Dev) {
        for task in self.of("work").filter(|task| task["status"] == "complete") {
            let result = dev.get(&format!("/tasklane/v1/tasks/{}/result", id(task)));
            assert_eq!(result, json!({ "n": task["data"]["n"] }), "of {task}");
        }
    }

    fn has_expired_tasks_that_never_ran(&self, journal: &Journal) {
        let runs = journal.runs();
        for task in self.of("parked") {
            assert_eq!((&task["status"], &task["error"]["name"]), (&json!("failed"), &json!("taskExpired")), "{task}");
            assert!(!runs.contains_key(&id(task)), "{task} ran");
        }
    }

    /// What was appended is in one Task. A call that was cut off may have had an effect, once.
    fn has_each_element_once(&self, book: &Book) {
        let mut found = BTreeSet::new();
        for task in self.of("index") {
            let elements = task["data"].as_array().expect("an array");
            for element in elements {
                assert!(found.insert(element.as_u64()), "{element} is there twice, also in {task}");
            }
        }
        for (element, is_acknowledged) in &book.elements {
            assert!(!is_acknowledged || found.contains(&Some(*element)), "{element} was acknowledged and is lost");
        }
    }

    fn has_replayed_once(&self, operations: &[Value]) {
        let mut of = BTreeMap::<String, usize>::new();
        for task in self.tasks.values().filter(|task| task["retryForTaskIds"].is_null()) {
            if let Some(original) = task["replayOf"].as_str() {
                *of.entry(original.to_owned()).or_default() += 1;
            }
        }
        assert!(operations.len() <= 1, "{operations:?}");
        let done = operations.first().map_or(0, |operation| operation["done"].as_u64().expect("a number"));
        assert_eq!(of.len() as u64, done, "{operations:?}");
        assert!(of.values().all(|times| *times == 1), "a task was replayed twice: {of:?}");
    }
}
