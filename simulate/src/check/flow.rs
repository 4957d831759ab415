//! Flow by key: a key's limit and rate, at most two ready Tasks of a key, and nothing that stays behind a gate.

use std::collections::BTreeSet;

use serde_json::Value;
use tasklane_model::{ObjectId, TaskStatus};

use super::{most_skew, runs::when_claimed};
use crate::{
    cloud::Run,
    journal::{Gate, Journal, LifeId, Line},
    plan::FlowPlan,
    row::TaskRow,
    world::World,
};

/// How many Tasks of a key are ready at most, besides those that are being claimed.
const MOST_READY: usize = 2;

/// Records the row of a gate after a write, and checks it.
pub fn saw_gate(world: &World, by: LifeId, item: &Value) {
    let Some(function) = item["pk"]["S"].as_str().and_then(|pk| pk.strip_prefix("flow:")) else { return };
    let text = |name: &str| item[name]["S"].as_str().unwrap_or_default();
    let ids = |name: &str| serde_json::from_str::<BTreeSet<ObjectId>>(text(name)).unwrap_or_default();
    let starts: Vec<tasklane_model::Timestamp> = serde_json::from_str(text("starts")).unwrap_or_default();
    let gate = Gate {
        admitted: ids("admitted"),
        running: ids("running"),
        starts: starts.into_iter().map(tasklane_model::Timestamp::as_millis).collect(),
    };
    let key = text("key").to_owned();
    let (ready, running) = (gate.admitted.len(), gate.running.len());
    let at = world.elapsed();
    let held = item["mayHold"]["N"].as_str() == Some("1");
    let what = format!("gate {function}/{key}: {ready} admitted, {running} running, may hold: {held}");
    let tasks: Vec<_> = gate.admitted.iter().copied().collect();
    {
        let mut journal = world.journal();
        journal.note(Line { at, by: Some(by), task: None, what });
        journal.gates.insert((function.to_owned(), key), gate);
    }
    if ready > MOST_READY {
        world.violated(tasks, format!("{ready} tasks of one key are admitted"));
    }
}

/// Checks how many Tasks of this one's key are ready after a write.
pub fn saw_task(world: &World, id: ObjectId) {
    let ready = {
        let journal = world.journal();
        let Some(row) = journal.last(id).filter(|row| row.status == TaskStatus::New && row.is_admitted()) else {
            return;
        };
        let Some(key) = row.flow.clone() else { return };
        let of_key = journal.rows.values().filter_map(|versions| versions.last()).map(|version| &version.row);
        let running = journal.gates.get(&(row.function.clone(), key.clone())).map(|gate| &gate.running);
        let ready = of_key.filter(|other| {
            other.function == row.function
                && other.flow.as_ref() == Some(&key)
                && other.status == TaskStatus::New
                && other.is_admitted()
                && running.is_none_or(|running| !running.contains(&other.id))
        });
        ready.map(|other| other.id).collect::<Vec<_>>()
    };
    // As many again may be on their way back behind the gate.
    if ready.len() > 2 * MOST_READY {
        let what = format!("{} tasks of one key are ready", ready.len());
        world.violated(ready, what);
    }
}

/// Checks a run that begins now: its key has a place, and its rate allows it.
pub fn at_begin_of_run(world: &World, run: &Run, runs: &[Run]) {
    let broken = {
        let journal = world.journal();
        let of_key = |other: &&Run| other.function == run.function && key_of(&journal, other) == key_of(&journal, run);
        let (Some(key), Some(flows)) = (key_of(&journal, run), flows(world, &journal, run)) else { return };
        // Runs that began under a higher limit, or under none, may exceed a lower one.
        let most = |run: &Run| {
            let of: Option<Vec<u16>> = flows_of(world, &journal, run)?.iter().map(|flow| flow.concurrent).collect();
            of?.into_iter().max()
        };
        let own = most(run);
        let counted: Vec<(ObjectId, u16)> = runs
            .iter()
            .filter(|other| other.ended.is_none())
            .filter(of_key)
            .filter_map(|other| Some((other.task, most(other)?)))
            .collect();
        let over = counted.iter().map(|(_, limit)| *limit).filter(|limit| own.is_some_and(|own| *limit >= own));
        let over = over
            .filter_map(|limit| {
                let under: Vec<_> = counted.iter().filter(|(_, of)| *of <= limit).map(|(task, _)| *task).collect();
                (under.len() > usize::from(limit)).then_some((under, limit))
            })
            .min_by_key(|(_, limit)| *limit)
            .map(|(tasks, limit)| {
                let what =
                    format!("{} runs with the flow key {key} are in progress; its limit is {limit}", tasks.len());
                (tasks, what)
            });
        over.or_else(|| {
            too_fast(world, &journal, run, &flows, runs.iter().filter(of_key)).map(|what| (vec![run.task], what))
        })
    };
    if let Some((tasks, what)) = broken {
        world.violated(tasks, what);
    }
}

/// More starts of a key in a window than its rate allows. A start is when the dispatcher made the run, which follows its look at
/// the gate by a few calls of the store.
fn too_fast<'a>(
    world: &World,
    journal: &Journal,
    run: &Run,
    flows: &[FlowPlan],
    of_key: impl Iterator<Item = &'a Run>,
) -> Option<String> {
    let rates: Option<Vec<_>> = flows.iter().map(|flow| flow.rate).collect();
    let rates = rates?;
    let (count, seconds) = (rates.iter().map(|rate| rate.0).max()?, rates.iter().map(|rate| rate.1).min()?);
    let faults = &world.plan.faults;
    let slow = if faults.store_slow > 0 { 16_000 } else { 0 };
    let frozen = if faults.freeze_every > 0 { i64::try_from(faults.longest_freeze).unwrap_or(0) } else { 0 };
    let repeated = if faults.store_answer_lost + faults.store_fails > 0 { 4000 } else { 0 };
    let slack = i64::try_from(faults.store_latency).unwrap_or(0) * 20 + slow + frozen + repeated + 2 * most_skew(world);
    let started = |task: ObjectId| journal.claimed(task).and_then(|claimed| claimed.row.started);
    let now = started(run.task)?;
    let from = now - i64::from(seconds) * 1000 + slack;
    // Only what began under the same rates.
    let same = |other: &Run| flows_of(world, journal, other).is_some_and(|others| others == flows);
    let starts = of_key.filter(|other| same(other)).filter_map(|other| started(other.task));
    let within = starts.filter(|start| *start > from && *start <= now).count();
    (from < now && within > usize::from(count))
        .then(|| format!("{within} runs with one flow key started in {seconds} s; the rate allows {count}"))
}

/// The flows that the dispatcher may have read, if there was one all the time.
fn flows(world: &World, journal: &Journal, run: &Run) -> Option<Vec<FlowPlan>> {
    (!journal.is_direct(run.task)).then(|| flows_of(world, journal, run)).flatten()
}

fn flows_of(world: &World, journal: &Journal, run: &Run) -> Option<Vec<FlowPlan>> {
    if journal.is_direct(run.task) {
        return None;
    }
    let states = when_claimed(world, journal, run);
    let flows: Option<Vec<_>> = states.iter().map(|state| state.as_ref().and_then(|state| state.flow)).collect();
    flows.filter(|flows| !flows.is_empty())
}

fn key_of(journal: &Journal, run: &Run) -> Option<String> {
    journal.last(run.task)?.flow.clone()
}

/// The flow key that a due Task of a Function with this flow has.
pub fn key_of_row(row: &TaskRow) -> Option<String> {
    if let Some(key) = &row.flow {
        return Some(key.clone());
    }
    let data: Value = serde_json::from_str(row.data.as_deref()?).ok()?;
    data["key"].as_u64().map(|key| key.to_string())
}

/// Until when the key of this Task was certainly taken, in milliseconds since the start: others of it were ready or ran, or
/// its rate was closed.
pub fn taken_until(world: &World, journal: &Journal, row: &TaskRow, flow: FlowPlan, now: i64) -> i64 {
    let Some(key) = key_of_row(row) else { return 0 };
    let mut until = 0;
    for versions in journal.rows.values().filter(|versions| versions[0].row.function == row.function) {
        let Some(last) = versions.last() else { continue };
        if last.row.id == row.id || last.row.flow.as_ref() != Some(&key) {
            continue;
        }
        let takes =
            last.row.status == TaskStatus::InProgress || (last.row.status == TaskStatus::New && last.row.is_admitted());
        until = until.max(if takes { now } else { last.at });
    }
    if let Some((_, seconds)) = flow.rate
        && let Some(gate) = journal.gates.get(&(row.function.clone(), key))
        && let Some(last) = gate.starts.last()
    {
        until = until.max(crate::time::since_start(*last) + i64::from(seconds) * 1000 + most_skew(world));
    }
    until
}
