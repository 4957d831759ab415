//! The versions of Functions, and their canaries.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use serde_json::Value;
use tasklane_model::ObjectId;

use super::runs::when_claimed;
use crate::{
    cloud::Run,
    journal::{CanaryState, Journal},
    world::World,
};

/// A version of a Function: the Function's name and series, its number, and its deployment.
pub type Version = (String, String, u64, String);

/// The version in a row of its own.
pub fn kept(function: &str, series: &str, record: &Value) -> Version {
    let number = record["note"]["number"].as_u64().unwrap_or_default();
    (function.to_owned(), series.to_owned(), number, deployment_of(record))
}

/// The current version in the row of a Function.
pub fn current(function: &str, record: &Value) -> Version {
    let (series, number, _) = of_record(record);
    (function.to_owned(), series, number, deployment_of(record))
}

fn deployment_of(record: &Value) -> String {
    record["deployment"]["version"].as_str().unwrap_or_default().to_owned()
}

/// The series, the number of the current version, and the canary, in a Function's record.
pub fn of_record(record: &Value) -> (String, u64, Option<CanaryState>) {
    let history = &record["history"];
    let canary = &history["canary"];
    let state = CanaryState {
        version: canary["version"].as_u64().unwrap_or_default(),
        percent: canary["percent"].as_u64().unwrap_or_default(),
        fail_when: canary["failWhen"]["failures"].as_u64().zip(canary["failWhen"]["of"].as_u64()),
        started: millis(&canary["startedTimestamp"]),
    };
    let series = history["series"].as_str().unwrap_or_default().to_owned();
    (series, history["current"]["number"].as_u64().unwrap_or_default(), canary.is_object().then_some(state))
}

fn millis(time: &Value) -> i64 {
    time.as_str().and_then(|text| text.parse().ok()).map_or(0, tasklane_model::Timestamp::as_millis)
}

/// Records a version. What it runs never changes.
pub fn saw(world: &World, (function, series, number, deployment): Version) {
    let key = (function.clone(), series, number);
    let known = world.journal().versions.entry(key).or_insert_with(|| deployment.clone()).clone();
    if known != deployment {
        world.violated([], format!("version {number} of {function} was {known} and is {deployment}"));
    }
}

/// Records how a run of a canary ended.
pub fn saw_end_of_run(world: &World, item: &Value) {
    let Some(rest) = item["pk"]["S"].as_str().and_then(|pk| pk.strip_prefix("canary:")) else { return };
    let parts: Vec<_> = rest.split(':').collect();
    if let [function, _, _, started] = parts[..] {
        let started = started.parse().unwrap_or_default();
        let failed = item["failed"]["N"] == "1";
        world.journal().canary_runs.entry((function.to_owned(), started)).or_default().push(failed);
    }
}

/// The first Task of a run's chain.
fn first_of(journal: &Journal, run: &Run) -> ObjectId {
    journal.last(run.task).and_then(|row| row.retry_for.first().copied()).unwrap_or(run.task)
}

/// A run gets the current version, or the canary if that gets its chain: as its Function was when the Task was claimed.
pub fn at_begin_of_run(world: &World, run: &Run) {
    let journal = world.journal();
    let first = first_of(&journal, run);
    let deployment =
        |series: String, version: u64| journal.versions.get(&(run.function.clone(), series, version)).cloned();
    let gets = |canary: &CanaryState| share_of(first) < canary.percent;
    let allowed: BTreeSet<String> = when_claimed(world, &journal, run)
        .into_iter()
        .flatten()
        .filter_map(|state| {
            let version = state.canary.filter(gets).map_or(state.version, |canary| canary.version);
            deployment(state.series, version)
        })
        .collect();
    // A Function that is gone has no state.
    let is_wrong = !allowed.is_empty() && !allowed.contains(&run.version);
    drop(journal);
    if is_wrong {
        let (function, version) = (&run.function, &run.version);
        world.violated([run.task], format!("a run of {function} got {version} and not one of {allowed:?}"));
    }
}

/// Where a chain stands, from 0 to 99: it is in every canary with more percent. The same as the product's, written again.
fn share_of(first: ObjectId) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in first.to_string().bytes() {
        hash ^= u64::from(byte);
        hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
    }
    (hash >> 32) % 100
}

/// The numbers of a Function's versions are 1, 2, 3 and so on: none is lost.
pub fn numbered_without_gaps(world: &World) {
    let functions = {
        let journal = world.journal();
        let mut functions: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
        for (function, series, number) in journal.versions.keys() {
            functions.entry((function.clone(), series.clone())).or_default().push(*number);
        }
        functions
    };
    for ((function, _), numbers) in functions {
        if numbers != (1..=numbers.len() as u64).collect::<Vec<_>>() {
            world.violated([], format!("the versions of {function} are {numbers:?}"));
        }
    }
}

/// Each Task that ran says which version ran it.
pub fn recorded(world: &World) {
    let runs = world.cloud.lock().unwrap_or_else(PoisonError::into_inner).runs.clone();
    let wrong: Vec<_> = {
        let journal = world.journal();
        let differs = |run: &Run| {
            // One that was cleaned up as a zombie while its Function had a canary has no version.
            let version = journal.last(run.task)?.version?;
            let is_it = |((function, _, number), deployment): (&(String, String, u64), &String)| {
                *function == run.function && *number == version && *deployment == run.version
            };
            let is_wrong = !journal.versions.iter().any(is_it);
            is_wrong.then(|| (run.task, version, run.version.clone()))
        };
        runs.iter().filter_map(differs).collect()
    };
    for (task, version, deployment) in wrong {
        world.violated([task], format!("the task says that version {version} ran it, and it was {deployment}"));
    }
}

/// A rollback makes the Function equal to the version.
pub fn rolled_back(world: &World) {
    let wrong: Vec<_> = {
        let journal = world.journal();
        let differs = |(function, series, to, is): &(String, String, u64, u64)| {
            let of = |number: u64| journal.versions.get(&(function.clone(), series.clone(), number)).cloned();
            let (to_deployment, is_deployment) = (of(*to), of(*is));
            (to_deployment != is_deployment).then(|| {
                format!("{function} was rolled back from {to} to {is}: {to_deployment:?} and {is_deployment:?}")
            })
        };
        journal.rollbacks.iter().filter_map(differs).collect()
    };
    for what in wrong {
        world.violated([], what);
    }
}

/// A canary does not go on when as many of its runs have failed as it says, unless a process died or the store failed before
/// it could be ended.
pub fn canaries_end(world: &World) {
    if world.plan.faults.any() {
        return;
    }
    let still: Vec<_> = {
        let journal = world.journal();
        let last = |states: &Vec<(i64, Option<crate::journal::FunctionState>)>| {
            states.last().and_then(|(_, state)| state.clone()).and_then(|state| state.canary)
        };
        let goes_on = |(function, canary): (&String, CanaryState)| {
            let (failures, of) = canary.fail_when?;
            let runs = journal.canary_runs.get(&(function.clone(), canary.started))?;
            let of = usize::try_from(of).unwrap_or(usize::MAX);
            let failed = runs.iter().rev().take(of).filter(|failed| **failed).count() as u64;
            (failed >= failures).then(|| format!("the canary {canary:?} of {function} goes on after {failed} failures"))
        };
        let canaries = journal.functions.iter().filter_map(|(name, states)| Some((name, last(states)?)));
        canaries.filter_map(goes_on).collect()
    };
    for what in still {
        world.violated([], what);
    }
}
