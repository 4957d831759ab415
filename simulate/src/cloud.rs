//! What Lambda knows: the Functions that are deployed, and every run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tasklane_model::ObjectId;

use crate::journal::LifeId;

/// What Lambda knows.
#[derive(Default)]
pub struct Cloud {
    /// The Functions that are deployed, with how many times they were.
    pub deployed: BTreeMap<String, u64>,
    /// Every run, in the order in which they began.
    pub runs: Vec<Run>,
}

/// One run of a Function.
#[derive(Clone, Debug)]
pub struct Run {
    /// The Task that it is for.
    pub task: ObjectId,
    /// The Function.
    pub function: String,
    /// Who asked for it.
    pub by: LifeId,
    /// When it began, in milliseconds since the start.
    pub began: i64,
    /// When it ended.
    pub ended: Option<i64>,
    /// When its caller was told how it ended.
    pub told: Option<i64>,
    /// The Task as the Function saw it.
    pub event: Value,
}

impl Cloud {
    /// The runs in progress.
    pub fn in_flight(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.ended.is_none())
    }

    /// Ends the runs that are child processes of this life.
    pub fn kill(&mut self, life: LifeId, at: i64) {
        for run in self.runs.iter_mut().filter(|run| run.by == life && run.ended.is_none()) {
            run.ended = Some(at);
        }
    }
}

/// The Tasks that ran, each once.
pub fn ran(runs: &[Run]) -> BTreeSet<ObjectId> {
    runs.iter().map(|run| run.task).collect()
}
