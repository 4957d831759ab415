//! The requests to the service and its acknowledgements.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
};

use serde_json::{Value, json};

use crate::support::{dev::Dev, random::Random};

/// The input of a Task. `n` is unique, so that a Task can be identified even if its id was never received.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Unique among all requests.
    pub n: u64,
    /// Its Function.
    pub function: String,
    /// The number of runs of its chain that throw.
    pub failures: u64,
    /// The time of each run, in milliseconds.
    pub takes: u64,
    /// Whether it is due so late that it only ends if it is canceled.
    pub far: bool,
}

impl Sent {
    /// The Task's `data`.
    pub fn data(&self) -> Value {
        json!({ "n": self.n, "failures": self.failures, "takes": self.takes, "far": self.far })
    }
}

/// Whether a Function is enabled, as far as responses say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Acknowledged.
    Is(bool),
    /// A request was interrupted.
    Unknown,
}

#[derive(Default)]
pub struct Book {
    pub sent: Vec<Sent>,
    /// Creations, by the Task's id.
    pub created: BTreeMap<String, Sent>,
    /// Results of direct executions, by the Task's id.
    pub executed: BTreeMap<String, Sent>,
    /// Direct executions that threw.
    pub threw: BTreeMap<String, Sent>,
    /// Direct executions for which there was no slot.
    pub refused: BTreeSet<u64>,
    pub canceled: BTreeSet<String>,
    /// Tasks that an interrupted request may have canceled.
    pub maybe_canceled: BTreeSet<String>,
    /// Schedules by id, with the `n` of their Tasks, and whether they exist.
    pub schedules: BTreeMap<String, (u64, Known)>,
    pub switched: Option<Known>,
    /// Final records as seen at a restart.
    pub seen_final: BTreeMap<String, Value>,
}

/// The ledger, shared by all clients.
#[derive(Default)]
pub struct Ledger(Mutex<Book>);

impl Ledger {
    /// The ledger's content.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }

    /// Records a request before it is sent.
    pub fn next(&self, function: &str, failures: u64) -> Sent {
        let mut book = self.book();
        let n = u64::try_from(book.sent.len()).unwrap();
        let sent = Sent { n, function: function.to_owned(), failures, takes: 0, far: false };
        book.sent.push(sent.clone());
        sent
    }

    /// Records an acknowledged creation.
    pub fn created(&self, task: &Value, sent: &Sent) {
        let id = task["id"].as_str().expect("a Task has an id").to_owned();
        assert_eq!(task["status"], "new", "{task}");
        let before = self.book().created.insert(id, sent.clone());
        assert!(before.is_none(), "an id was given twice: {before:?}");
    }

    /// The number of acknowledged Tasks.
    pub fn acknowledged(&self) -> usize {
        let book = self.book();
        book.created.len() + book.executed.len() + book.threw.len()
    }

    /// Checks that everything acknowledged is still true, and that ended Tasks are unchanged.
    pub fn check_after_restart(&self, dev: &Dev, random: &mut Random) {
        let enabled = dev.get("/tasks/v1/functions/switched")["enabled"].as_bool().unwrap();
        {
            let mut book = self.book();
            if let Some(Known::Is(known)) = book.switched {
                assert_eq!(enabled, known, "an acknowledged switch of a Function was lost");
            }
            book.switched = Some(Known::Is(enabled));
        }
        self.check_schedules(dev);
        let ids: Vec<String> = self.book().created.keys().cloned().collect();
        if ids.is_empty() {
            return;
        }
        let sample: BTreeSet<&String> = (0..40).map(|_| random.pick(&ids)).collect();
        let list = sample.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(",");
        let tasks = dev.tasks(&format!("in(id,{list})&limit(50)"));
        assert_eq!(tasks.len(), sample.len(), "acknowledged Tasks are lost: of {sample:?}, only {tasks:?} exist");
        let mut book = self.book();
        for task in tasks {
            if !["new", "inProgress"].contains(&task["status"].as_str().unwrap()) {
                let id = task["id"].as_str().unwrap().to_owned();
                let before = book.seen_final.entry(id).or_insert_with(|| task.clone());
                assert_eq!(*before, task, "a Task that had ended changed");
            }
        }
    }

    fn check_schedules(&self, dev: &Dev) {
        let page = dev.get("/tasks/v1/schedules?limit(50)");
        let there: BTreeSet<&str> =
            page["data"].as_array().unwrap().iter().map(|schedule| schedule["id"].as_str().unwrap()).collect();
        for (id, (_, known)) in &mut self.book().schedules {
            let is_there = there.contains(id.as_str());
            if let Known::Is(known) = known {
                assert_eq!(is_there, *known, "the acknowledged creation or deletion of the Schedule {id} was lost");
            }
            *known = Known::Is(is_there);
        }
    }

    /// Deletes every Schedule, also those whose creation was never acknowledged.
    pub fn delete_schedules(&self, dev: &Dev) {
        for schedule in dev.get("/tasks/v1/schedules?limit(50)")["data"].as_array().unwrap() {
            let id = schedule["id"].as_str().unwrap();
            dev.ask("DELETE", &format!("/tasks/v1/schedules/{id}"), None).ok();
        }
    }

    pub fn summary(&self) -> String {
        let acknowledged = self.acknowledged();
        let book = self.book();
        format!(
            "{} requests for a Task sent, {acknowledged} acknowledged ({} of them direct), {} canceled, {} schedules",
            book.sent.len(),
            book.executed.len() + book.threw.len(),
            book.canceled.len(),
            book.schedules.len(),
        )
    }
}
