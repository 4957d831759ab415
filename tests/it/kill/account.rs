//! The final account: compares every Task with the acknowledgements, the Functions' own journal, and the published
//! events.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{dev::Dev, journal::Runs};

use super::ledger::Ledger;

pub struct Account {
    tasks: BTreeMap<String, Value>,
    runs: BTreeMap<String, Runs>,
}

const ZOMBIE: &str = "zombieTaskCleaned";

/// The time between a failure and its retry, in milliseconds.
const RETRY_DELAYS: [i64; 3] = [2000, 5000, 10_000];

impl Account {
    /// The account of all Tasks that the service knows.
    pub fn take(dev: &Dev, runs: BTreeMap<String, Runs>) -> Self {
        let mut tasks = BTreeMap::new();
        let mut after = "000000000000000000000000".to_owned();
        loop {
            let page = dev.tasks(&format!("gt(id,{after})&sort(id)&limit(50)&skipCount()"));
            let Some(last) = page.last() else { return Self { tasks, runs } };
            after = text(last, "id").to_owned();
            tasks.extend(page.into_iter().map(|task| (text(&task, "id").to_owned(), task)));
        }
    }

    /// The Tasks that have not ended, except those of this Function and those that are due tomorrow.
    pub fn unfinished_but_of(&self, function: &str) -> Vec<&Value> {
        let unfinished = |task: &&Value| ["new", "inProgress"].contains(&text(task, "status"));
        let counts = |task: &&Value| text(task, "functionName") != function && task["data"]["far"] != true;
        self.tasks.values().filter(unfinished).filter(counts).collect()
    }

    /// Each Task ended in its true state, and its code ran at most once.
    pub fn check_tasks(&self) {
        for id in self.runs.keys() {
            assert!(self.tasks.contains_key(id), "the code ran for an unknown Task {id}");
        }
        for (id, task) in &self.tasks {
            let Runs { began, ended } = self.runs(id);
            assert!(began <= 1, "it ran {began} times: {task}");
            let throws = self.told_to_throw(task);
            match text(task, "status") {
                "complete" => assert_eq!((began, ended, throws), (1, 1, false), "{task}"),
                "retried" => {
                    assert_eq!((began, ended, throws), (1, 0, true), "{task}");
                    assert_eq!(task["error"]["name"], "TOLD", "{task}");
                }
                "failed" if task["error"]["name"] == ZOMBIE => {}
                "failed" => {
                    assert_eq!((began, ended, throws), (1, 0, true), "{task}");
                    assert_eq!(
                        task["error"],
                        json!({ "type": "runtime", "name": "TOLD", "message": "as it was told" })
                    );
                    let last = text(task, "functionName") != "retried" || earlier(task).len() == RETRY_DELAYS.len();
                    assert!(last, "the policy covers it, but it was not retried: {task}");
                }
                "canceled" => assert_eq!((began, task["data"]["far"] == true), (0, true), "{task}"),
                // Due tomorrow; whether its cancellation succeeded is checked elsewhere.
                "new" => assert_eq!((began, task["data"]["far"] == true), (0, true), "{task}"),
                other => panic!("a Task is {other} at the end: {task}"),
            }
        }
    }

    /// A chain of retries is linked both ways, and every retry has the same properties and the right time.
    pub fn check_chains(&self) {
        for (id, task) in &self.tasks {
            let next = task["retriedByTaskId"].as_str();
            assert_eq!(next.is_some(), text(task, "status") == "retried", "{task}");
            if let Some(next) = next {
                let next = self.tasks.get(next).unwrap_or_else(|| panic!("its retry does not exist: {task}"));
                let mut chain = earlier(task);
                chain.push(id);
                assert_eq!(earlier(next), chain, "{next} follows {task}");
                assert_eq!(next["data"], task["data"]);
                let delay = millis(next, "startTimestamp") - millis(task, "statusChangedTimestamp");
                assert_eq!(delay, RETRY_DELAYS[chain.len() - 1], "{next} follows {task}");
            }
            if let Some(before) = earlier(task).last() {
                assert_eq!(self.tasks[*before]["retriedByTaskId"], json!(id), "{task} says that it follows it");
            }
        }
    }

    /// No occurrence of a Schedule became two Tasks, and the occurrences are whole numbers of intervals apart.
    pub fn check_occurrences(&self) {
        let mut occurrences = BTreeMap::<u64, BTreeSet<i64>>::new();
        for task in self.tasks.values().filter(|task| text(task, "functionName") == "scheduled") {
            let (schedule, start) = (number(task), millis(task, "startTimestamp"));
            assert!(occurrences.entry(schedule).or_default().insert(start), "an occurrence became two Tasks: {task}");
        }
        for starts in occurrences.values() {
            let first = starts.first().unwrap();
            assert!(starts.iter().all(|start| (start - first) % 1000 == 0), "it drifted: {starts:?}");
        }
    }

    /// Everything that was acknowledged is true.
    pub fn check_against(&self, ledger: &Ledger) {
        let book = ledger.book();
        let find = |id: &str| self.tasks.get(id).unwrap_or_else(|| panic!("the acknowledged Task {id} is lost"));
        for (id, sent) in book.created.iter().chain(&book.executed).chain(&book.threw) {
            let task = find(id);
            assert_eq!((&task["data"], text(task, "functionName")), (&sent.data(), sent.function.as_str()), "{task}");
        }
        for id in book.executed.keys() {
            assert_eq!(text(find(id), "status"), "complete");
        }
        for id in book.threw.keys() {
            assert_eq!((text(find(id), "status"), &find(id)["error"]["name"]), ("failed", &json!("TOLD")));
        }
        for id in &book.canceled {
            assert_eq!(text(find(id), "status"), "canceled");
        }
        for (id, task) in &self.tasks {
            if text(task, "status") == "canceled" {
                // Its caller got a response, or was interrupted.
                assert!(book.maybe_canceled.contains(id), "nobody canceled {task}");
            }
        }
        for (id, seen) in &book.seen_final {
            assert_eq!(find(id), seen, "a Task that had ended changed");
        }
        let mut requests = BTreeSet::new();
        for task in self.tasks.values().filter(|task| text(task, "functionName") != "scheduled") {
            let n = number(task);
            assert!(!book.refused.contains(&n), "a request was refused, but created {task}");
            assert!(usize::try_from(n).unwrap() < book.sent.len(), "nobody requested {task}");
            if earlier(task).is_empty() {
                assert!(requests.insert(n), "one request became two Tasks: {task}");
            }
        }
    }

    /// The failures that have not been published yet.
    pub fn unpublished(&self, events: &Path) -> Vec<&str> {
        let published = read_events(events);
        let failed = self.tasks.iter().filter(|(_, task)| text(task, "status") == "failed");
        failed.map(|(id, _)| id.as_str()).filter(|id| !published.contains_key(*id)).collect()
    }

    /// Each failure was published with its error, and nothing else was.
    pub fn check_events(&self, events: &Path) {
        for (id, events) in read_events(events) {
            let task = self.tasks.get(&id).unwrap_or_else(|| panic!("an event of an unknown Task {id}"));
            assert_eq!(text(task, "status"), "failed", "an event of {task}");
            for event in events {
                let content = json!({ "id": id, "functionName": task["functionName"], "error": task["error"] });
                let failed: Timestamp = text(task, "statusChangedTimestamp").parse().unwrap();
                let at = failed.as_millisecond();
                let expected = json!({ "id": id, "type": "task_failed", "content": content, "creation_timestamp": at });
                assert_eq!(event, expected);
            }
        }
    }

    /// The number of Tasks that were ended because their runner died.
    pub fn zombies(&self) -> usize {
        self.tasks.values().filter(|task| task["error"]["name"] == ZOMBIE).count()
    }

    pub fn summary(&self) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for task in self.tasks.values() {
            *counts.entry(text(task, "status")).or_default() += 1;
        }
        let counts: Vec<_> = counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
        let runs: usize = self.runs.values().map(|runs| runs.began).sum();
        let [tasks, zombies] = [self.tasks.len(), self.zombies()];
        format!("{tasks} Tasks ({}; {zombies} of the failed cut off by a kill), {runs} runs", counts.join(", "))
    }

    fn runs(&self, id: &str) -> Runs {
        self.runs.get(id).copied().unwrap_or_default()
    }

    fn told_to_throw(&self, task: &Value) -> bool {
        let before = u64::try_from(earlier(task).len()).unwrap();
        before < task["data"]["failures"].as_u64().expect("the data that was sent")
    }
}

fn read_events(path: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut events = BTreeMap::<String, Vec<Value>>::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("not an event: {e}: {line}"));
        events.entry(text(&event["content"], "id").to_owned()).or_default().push(event);
    }
    events
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_else(|| panic!("no '{field}' in {value}"))
}

fn millis(task: &Value, field: &str) -> i64 {
    text(task, field).parse::<Timestamp>().unwrap().as_millisecond()
}

fn number(task: &Value) -> u64 {
    task["data"]["n"].as_u64().unwrap_or_else(|| panic!("no number in {task}"))
}

/// The runs before this one, in order.
fn earlier(task: &Value) -> Vec<&str> {
    task["retryForTaskIds"].as_array().into_iter().flatten().map(|id| id.as_str().unwrap()).collect()
}
