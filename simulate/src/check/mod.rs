//! The promises of the design, checked against the writes of the database and the runs of Lambda.

pub mod bulks;
mod debounces;
mod edits;
mod events;
mod expiry;
pub mod flow;
mod follow;
mod liveness;
pub mod marks;
mod once;
mod order;
mod records;
pub mod register;
mod results;
mod runs;
mod schedules;
mod slots;
pub mod versions;
mod zombies;

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use tasklane_model::TaskStatus;
use tasklane_store::Store;

use crate::{row::TaskRow, world::World};

pub use liveness::{limit_of, most_skew, saw_row, watch};
pub use runs::at_begin_of_run;
pub use slots::refused;

/// How long it may take after the last fault until a Task ends, and then until the next one does: the leases of dead
/// processes end (420 s), and the Tasks that waited for their slots run.
const LONGEST_QUIET: i64 = 900_000;

/// Waits until every Task has ended or waits for its Function to be enabled.
pub async fn until_quiet(world: &Arc<World>, store: &Store) {
    // The work may be more than the slots can do in that time, so it begins again whenever a Task has ended.
    let (mut from, mut ended) = (world.elapsed(), ended_tasks(world));
    // Frozen processes and callers act once they thaw.
    tokio::time::sleep(Duration::from_millis(world.plan.faults.longest_freeze)).await;
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let stopped = stop_schedules(world, store).await;
        let open = open_tasks(world);
        let operations = store.bulks.running().await.map_or(usize::MAX, |running| running.len());
        if stopped.is_ok() && open.is_empty() && operations == 0 {
            return;
        }
        if ended_tasks(world) > ended {
            (from, ended) = (world.elapsed(), ended_tasks(world));
        }
        if world.elapsed() - from <= LONGEST_QUIET {
            continue;
        }
        if let Err(why) = stopped {
            return world
                .violated([], format!("schedules cannot be listed and deleted although there are no faults: {why}"));
        }
        if !open.is_empty() {
            let (ids, first) = (open.iter().map(|row| row.id).collect::<Vec<_>>(), open[0].to_string());
            return world.violated(ids, format!("some tasks do not end, such as {first}"));
        }
        if operations > 0 {
            return world.violated([], "some bulk operations do not end");
        }
    }
}

/// Deletes the schedules that callers do not know, because the response to their creation was lost. An error while
/// there may be more.
async fn stop_schedules(world: &World, store: &Store) -> Result<(), String> {
    let page = store.schedules.list(&tasklane_rql::Query::everything(), world.now()).await;
    let page = page.map_err(|error| error.to_string())?;
    for id in page.data.iter().filter_map(|schedule| schedule.to_value()["id"].as_str()?.parse().ok()) {
        // The next call finds any that are not deleted now.
        let _ = store.schedules.delete(id).await;
    }
    if page.data.is_empty() { Ok(()) } else { Err(format!("{} were left", page.data.len())) }
}

fn ended_tasks(world: &World) -> usize {
    let journal = world.journal();
    let last = journal.rows.values().filter_map(|versions| versions.last());
    last.filter(|version| version.row.status.is_final()).count()
}

fn open_tasks(world: &World) -> Vec<TaskRow> {
    let running = world.cloud.lock().unwrap_or_else(PoisonError::into_inner).in_flight().next().map(|run| run.task);
    let journal = world.journal();
    let last = journal.rows.values().filter_map(|versions| versions.last()).map(|version| &version.row);
    let open = last.filter(|row| {
        let disabled = journal.functions.get(&row.function).and_then(|states| states.last());
        let waits = disabled.is_some_and(|(_, state)| state.as_ref().is_some_and(|state| !state.enabled));
        let ended = match row.status {
            // Even the Task of a disabled Function fails when it has waited as long as it may.
            TaskStatus::New => waits && row.not_after.is_none(),
            TaskStatus::InProgress => false,
            TaskStatus::Complete | TaskStatus::Failed | TaskStatus::Retried | TaskStatus::Canceled => {
                row.lane.is_none()
            }
        };
        !ended || running == Some(row.id)
    });
    open.cloned().collect()
}

/// Runs every check that needs the whole history.
pub async fn at_the_end(world: &Arc<World>, store: &Store) {
    records::stored(world, store).await;
    records::acknowledged(world);
    once::per_key(world);
    follow::one_for_each_chain(world);
    records::chains(world);
    expiry::in_time(world);
    debounces::one_at_a_time(world);
    debounces::each_element_once(world);
    edits::none_starts_early(world);
    versions::numbered_without_gaps(world);
    versions::recorded(world);
    versions::rolled_back(world);
    versions::canaries_end(world);
    events::at_least_once(world);
    bulks::each_task_once(world, store).await;
    results::of_their_runs(world, store).await;
    runs::each_once_and_for_a_reason(world);
    runs::in_time(world);
    order::priorities(world);
    order::asked_once(world);
    schedules::occurrences(world);
    schedules::overlap(world);
    schedules::catch_up(world);
    schedules::in_time(world);
    zombies::explained(world);
    zombies::started_in_time(world);
    zombies::not_left_claimed(world);
    slots::given_back(world, store).await;
}
