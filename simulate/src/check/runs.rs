//! The runs that Lambda was asked for.

use std::{collections::BTreeSet, sync::PoisonError};

use tasklane_model::TaskStatus;

use super::{
    flow,
    records::{last_rows, says_that_it_ran},
    versions,
};
use crate::{
    cloud::{Run, ran},
    journal::{Asked, FunctionState, Journal},
    time,
    world::World,
};

/// The longest time from the look at a Function to the claim of its Task.
const LOOK_TO_CLAIM: i64 = 40_000;

/// The latest start of a Task that nothing delays, in milliseconds after it is due.
const PROMPT: i64 = 3000;

/// Checks a run that begins now: a Task runs once, while it is in progress, within every limit.
pub fn at_begin_of_run(world: &World, number: usize) {
    let runs = world.cloud.lock().unwrap_or_else(PoisonError::into_inner).runs.clone();
    let run = &runs[number];
    if runs[..number].iter().any(|earlier| earlier.task == run.task) {
        world.violated([run.task], "a task is invoked a second time");
    }
    let status = world.journal().last(run.task).map(|row| row.status);
    if status != Some(TaskStatus::InProgress) {
        let status = status.map_or("does not exist", TaskStatus::as_str);
        world.violated([run.task], format!("a task is invoked although it is not in progress: {status}"));
    }
    if run.event["status"] != "inProgress" || run.event["id"] != run.task.to_string().as_str() {
        world.violated([run.task], "a function receives an event that is not its task");
    }
    let in_flight: Vec<&Run> = runs.iter().filter(|run| run.ended.is_none()).collect();
    slots(world, &in_flight);
    own_limit(world, run, &in_flight);
    flow::at_begin_of_run(world, run, &runs);
    versions::at_begin_of_run(world, run);
}

/// Queued Tasks and direct executions have slots of their own.
fn slots(world: &World, in_flight: &[&Run]) {
    let (direct, queued): (Vec<_>, Vec<_>) = {
        let journal = world.journal();
        in_flight.iter().map(|run| run.task).partition(|task| journal.is_direct(*task))
    };
    let scopes =
        [("queued tasks", queued, world.plan.task_limit), ("direct executions", direct, world.plan.direct_limit)];
    for (what, tasks, limit) in scopes {
        if tasks.len() > usize::from(limit) {
            let count = tasks.len();
            world.violated(tasks, format!("{count} {what} run at once; the limit is {limit}"));
        }
    }
}

/// The states of the Function at the times when a dispatcher may have read it to claim this Task.
pub(super) fn when_claimed(world: &World, journal: &Journal, run: &Run) -> Vec<Option<FunctionState>> {
    let faults = &world.plan.faults;
    let longest_freeze = if faults.freeze_every > 0 { i64::try_from(faults.longest_freeze).unwrap_or(0) } else { 0 };
    let Some(version) = journal.claimed(run.task) else {
        return journal.function_between(&run.function, run.began - LOOK_TO_CLAIM - longest_freeze, run.began);
    };
    let claimed = version.at;
    let states = journal.function_between(&run.function, claimed - LOOK_TO_CLAIM - longest_freeze, claimed);
    // With a flow, a dispatcher reads lanes after the Function, too.
    let has_flow = states.iter().flatten().any(|state| state.flow.is_some());
    let by_it = |asked: &&Asked| asked.task == run.task && asked.by == version.by && asked.at <= claimed;
    match journal.asked.iter().rev().find(by_it).filter(|_| !has_flow) {
        // It read the Function after the lanes, perhaps within the same millisecond.
        Some(asked) => journal.function_between(&run.function, asked.looked - 1, claimed),
        None => states,
    }
}

fn own_limit(world: &World, run: &Run, in_flight: &[&Run]) {
    let broken = {
        let journal = world.journal();
        let states = when_claimed(world, &journal, run);
        let disabled =
            !states.is_empty() && states.iter().all(|state| state.as_ref().is_some_and(|state| !state.enabled));
        // Runs that began without a limit do not exceed a limit that was set later.
        let limit_of = |run: &Run| -> Option<u16> {
            let states = when_claimed(world, &journal, run);
            let limits: Option<Vec<u16>> =
                states.iter().map(|state| state.as_ref().and_then(|state| state.limit)).collect();
            limits?.into_iter().max()
        };
        let counted: Vec<(&Run, u16)> = in_flight
            .iter()
            .filter(|other| other.function == run.function)
            .filter_map(|other| Some((*other, limit_of(other)?)))
            .collect();
        // Runs that began under a higher limit may exceed a lower one. But for each limit that was in force since this run
        // may begin, those that began under that limit or a lower one never exceed it.
        let own = limit_of(run);
        let over = counted.iter().map(|(_, limit)| *limit).filter(|limit| own.is_some_and(|own| *limit >= own));
        let over = over.filter_map(|limit| {
            let under = counted.iter().filter(|(_, of)| *of <= limit).map(|(run, _)| run.task);
            let under: Vec<_> = under.collect();
            (under.len() > usize::from(limit)).then_some((under, limit))
        });
        (disabled, over.min_by_key(|(_, limit)| *limit))
    };
    if broken.0 {
        world.violated([run.task], format!("{} runs although it is disabled", run.function));
    }
    if let Some((tasks, limit)) = broken.1 {
        let count = tasks.len();
        world.violated(tasks, format!("{count} runs of {} are in progress; its own limit is {limit}", run.function));
    }
}

/// Each Task ran at most once, canceled ones never, and every Task that says so ran.
pub fn each_once_and_for_a_reason(world: &World) {
    let runs = world.cloud.lock().unwrap_or_else(PoisonError::into_inner).runs.clone();
    let ran: BTreeSet<_> = ran(&runs);
    for row in last_rows(world) {
        if row.status == TaskStatus::Canceled && ran.contains(&row.id) {
            world.violated([row.id], "a canceled task was invoked");
        }
        if says_that_it_ran(&row) && !ran.contains(&row.id) {
            world.violated([row.id], format!("a task is {} but was never invoked", row.status));
        }
    }
}

/// If nothing goes wrong, a Task that is alone starts soon after it is due: the table is the queue, but a dispatcher
/// has to look at it.
pub fn in_time(world: &World) {
    // To a process with a slow clock, a wake-up comes too early and is wasted. Then the next tick finds the Task.
    if world.plan.faults.any() || world.plan.skews.iter().any(|skew| *skew != 0) {
        return;
    }
    let runs = world.cloud.lock().unwrap_or_else(PoisonError::into_inner).runs.clone();
    let mut late = Vec::new();
    {
        let journal = world.journal();
        for run in &runs {
            let Some(first) = journal.rows.get(&run.task).and_then(|versions| versions.first()) else { continue };
            let edited = journal.last_new(run.task).filter(|version| version.row.edited.is_some());
            let asked = edited.unwrap_or(first);
            let due = time::since_start(asked.row.start).max(asked.at);
            let alone = !runs.iter().any(|other| {
                other.task != run.task
                    && other.began <= run.began
                    && other.ended.is_none_or(|ended| ended >= due - 1000)
            });
            let scheduled = first.row.data.as_ref().is_some_and(|data| data.contains("schedule"));
            let constant = run.function == world.plan.functions[0].name;
            if alone && constant && !scheduled && run.began - due > PROMPT {
                late.push((run.task, run.began - due));
            }
        }
    }
    for (task, millis) in late {
        world.violated([task], format!("a task started {millis} ms late although nothing delayed it"));
    }
}
