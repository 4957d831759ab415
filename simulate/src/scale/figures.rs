//! What is measured: when each Task was created, due, claimed and done.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::time::since_start;

/// What has happened so far. Times are in milliseconds since the start.
#[derive(Default)]
pub struct Figures {
    /// The Tasks that were created, of those that a scenario measures.
    pub created: u64,
    pub completed: u64,
    /// Tasks in any other final state.
    pub failed: u64,
    /// How late each Task was claimed, after it was due and written.
    pub waits: Vec<i64>,
    /// How many Tasks were completed in each second.
    pub by_second: BTreeMap<i64, u64>,
    pub claims: u64,
    pub lost_claims: u64,
    pub looks: u64,
    /// Rows of lanes that were read.
    pub heads: u64,
    /// The most runs at once, and now.
    pub running: (u64, u64),
    /// Callers' requests that were refused.
    pub refused: u64,
    /// Dispatchers that were woken, and those that found nothing.
    pub shifts: u64,
    /// The most calls of the database in progress at once, in any process.
    pub most_connections: u64,
    connections: HashMap<String, u64>,
    tasks: HashMap<String, Stage>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    New { due: i64 },
    Running,
    Ended,
}

impl Figures {
    pub fn saw_task(&mut self, item: &Value, now: i64) {
        let (Some(id), Some(status)) = (item["sk"]["S"].as_str(), item["status"]["S"].as_str()) else { return };
        let start = item["start"]["N"].as_str().and_then(|start| start.parse().ok()).map_or(now, since_start);
        let before = self.tasks.get(id).copied();
        let stage = match (before, status) {
            (None, "new") => {
                self.created += 1;
                Stage::New { due: start.max(now) }
            }
            (Some(Stage::New { due }), "inProgress") => {
                self.waits.push(now - due);
                Stage::Running
            }
            (Some(Stage::Running), "complete") => {
                self.completed += 1;
                *self.by_second.entry(now / 1000).or_default() += 1;
                Stage::Ended
            }
            (Some(Stage::New { .. } | Stage::Running), "failed" | "retried" | "canceled") => {
                self.failed += 1;
                Stage::Ended
            }
            (Some(stage), _) => stage,
            (None, _) => return,
        };
        self.tasks.insert(id.to_owned(), stage);
    }

    pub fn claimed(&mut self, won: bool) {
        if won { self.claims += 1 } else { self.lost_claims += 1 }
    }

    pub fn looked(&mut self, rows: u64) {
        self.looks += 1;
        self.heads += rows;
    }

    pub fn begins_run(&mut self) -> u64 {
        self.running.1 += 1;
        self.running.0 = self.running.0.max(self.running.1);
        self.running.1
    }

    pub fn ends_run(&mut self) {
        self.running.1 -= 1;
    }

    pub fn connects(&mut self, process: &str) {
        let open = self.connections.entry(process.to_owned()).or_default();
        *open += 1;
        self.most_connections = self.most_connections.max(*open);
    }

    pub fn disconnects(&mut self, process: &str) {
        if let Some(open) = self.connections.get_mut(process) {
            *open = open.saturating_sub(1);
        }
    }

    /// Whether every Task has ended.
    pub fn all_ended(&self) -> bool {
        self.created == self.completed + self.failed
    }
}
