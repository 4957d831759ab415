//! The state of Lambda: the deployed Functions, and every run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tasklane_model::ObjectId;

use crate::journal::LifeId;

/// The state of Lambda.
#[derive(Default)]
pub struct Cloud {
    /// The deployed Functions, each with its number of deployments.
    pub deployed: BTreeMap<String, u64>,
    /// Every run, in the order of their beginnings.
    pub runs: Vec<Run>,
}

/// One run of a Function.
#[derive(Clone, Debug)]
pub struct Run {
    /// The Task that it is for.
    pub task: ObjectId,
    pub function: String,
    /// The deployment.
    pub version: String,
    /// The process that requested it.
    pub by: LifeId,
    /// When it began, in milliseconds since the start.
    pub began: i64,
    /// When it ended.
    pub ended: Option<i64>,
    /// When its caller learned the outcome.
    pub told: Option<i64>,
    /// The Task, as the Function received it.
    pub event: Value,
}

impl Cloud {
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

/// The Tasks that ran, without duplicates.
pub fn ran(runs: &[Run]) -> BTreeSet<ObjectId> {
    runs.iter().map(|run| run.task).collect()
}
