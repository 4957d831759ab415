//! The records at the end.

use std::collections::BTreeMap;

use tasklane_model::{
    Task, TaskErrorKind, TaskStatus,
    task::{EXPIRED_ERROR_NAME, ZOMBIE_ERROR_NAME},
};
use tasklane_store::Store;

use crate::{plan::FunctionPlan, row::TaskRow, world::World};

/// The product reads what the journal saw written.
pub async fn stored(world: &World, store: &Store) {
    let rows: Vec<TaskRow> = last_rows(world);
    for row in rows {
        match store.tasks.get(row.id).await {
            Ok(Some(record)) if record.task.status == row.status => {}
            Ok(Some(record)) => {
                world.violated(
                    [row.id],
                    format!("the store says {}, the last write {}", record.task.status, row.status),
                );
            }
            Ok(None) => world.violated([row.id], "a task has disappeared"),
            Err(error) => world.violated([row.id], format!("a task cannot be read: {error}")),
        }
    }
}

/// Everything that was acknowledged to a caller is true.
pub fn acknowledged(world: &World) {
    let mut journal = world.journal();
    let at = world.elapsed();
    let mut broken = Vec::new();
    for task in &journal.acknowledged {
        let Some(versions) = journal.rows.get(&task.id) else {
            broken.push((task.id, "a task whose creation was acknowledged does not exist"));
            continue;
        };
        // It may have been changed since, or before a repeated call was answered with it.
        if !versions.iter().any(|version| is_as(&version.row, task)) {
            broken.push((task.id, "a task differs from its acknowledged creation"));
        }
    }
    for task in &journal.edited {
        let versions = journal.rows.get(&task.id).map_or(&[] as &[_], Vec::as_slice);
        // A change to what the Task already was needs no write.
        if !versions.iter().any(|version| is_as(&version.row, task)) {
            broken.push((task.id, "the acknowledged change of a task was not made"));
        }
    }
    let is = |id, status| journal.last(id).is_some_and(|row| row.status == status);
    let canceled = journal.canceled.iter().filter(|id| !is(**id, TaskStatus::Canceled));
    broken.extend(canceled.map(|id| (*id, "a task whose cancellation was acknowledged is not canceled")));
    let executed = journal.executed.iter().filter(|id| !is(**id, TaskStatus::Complete));
    broken.extend(executed.map(|id| (*id, "a direct execution returned its result but is not complete")));
    for (id, what) in broken {
        journal.violated(at, [id], what);
    }
}

fn is_as(row: &TaskRow, task: &Task) -> bool {
    row.function == task.function_name.as_str()
        && row.start == task.start_timestamp.as_millis()
        && row.priority == task.priority.get()
        && row.data.as_deref() == task.data.as_ref().map(|data| data.as_str())
        && row.created == task.creation_timestamp.as_millis()
}

/// Retries: as many and as late as the Function's strategy says (by default three, 2, 5 and 10 s later), with the same
/// properties, and the chain reads the same both ways.
pub fn chains(world: &World) {
    let rows: BTreeMap<_, _> = last_rows(world).into_iter().map(|row| (row.id, row)).collect();
    for row in rows.values() {
        if (row.status == TaskStatus::Retried) != row.retried_by.is_some() {
            world.violated([row.id], "a task is retried without a retry, or has a retry but is not retried");
        }
        let retries = (0..).take_while(|runs| plan_of(world, row).delay(*runs).is_some()).count();
        if row.retry_for.len() > retries {
            world.violated([row.id], format!("a task was retried more than {retries} times"));
        }
        let never = plan_of(world, row).never_flaky && row.error.as_ref().is_some_and(|error| error.name == "Flaky");
        if never && row.status == TaskStatus::Retried {
            world.violated([row.id], "a task was retried after an error that its function excludes");
        }
        if let Some(before) = row.retry_for.last()
            && rows.get(before).and_then(|before| before.retried_by) != Some(row.id)
        {
            world.violated([row.id, *before], "a retry is not the one that the run before it names");
        }
        if let Some(next) = row.retried_by {
            match rows.get(&next) {
                None => world.violated([row.id, next], "the retry of a retried task does not exist"),
                Some(next) => {
                    // A retry may be changed like any other Task that has not started.
                    let first = world.journal().rows[&next.id][0].row.clone();
                    link(world, row, &first);
                }
            }
        }
        retried_when_it_should_be(world, row);
    }
}

/// The plan of the Task's Function, which is created again with the same policy.
fn plan_of<'a>(world: &'a World, row: &TaskRow) -> &'a FunctionPlan {
    let functions = &world.plan.functions;
    functions.iter().find(|function| function.name == row.function).unwrap_or(&functions[0])
}

fn link(world: &World, row: &TaskRow, next: &TaskRow) {
    let mut chain = row.retry_for.clone();
    chain.push(row.id);
    if next.retry_for != chain {
        world.violated([row.id, next.id], "a retry does not name all earlier runs");
    }
    let may_wait = |row: &TaskRow| row.not_after.map(|not_after| not_after - row.start);
    let same = (&row.function, row.priority, &row.data, &row.tags, &row.user, may_wait(row), row.events)
        == (&next.function, next.priority, &next.data, &next.tags, &next.user, may_wait(next), next.events);
    if !same {
        world.violated([row.id, next.id], "a retry differs from the task that it retries");
    }
    let delay = next.start - row.status_changed;
    let wanted = plan_of(world, row).delay(row.retry_for.len());
    if !wanted.is_some_and(|(shortest, longest)| (shortest..=longest).contains(&delay)) {
        let number = row.retry_for.len() + 1;
        world.violated([row.id, next.id], format!("retry number {number} starts {delay} ms after the failure"));
    }
}

/// The first Function's policy never changes, so it is certain what must happen to its failures.
fn retried_when_it_should_be(world: &World, row: &TaskRow) {
    let first = &world.plan.functions[0];
    let Some(error) = row.error.as_ref().filter(|_| row.function == first.name) else { return };
    let direct = world.journal().rows[&row.id][0].row.status == TaskStatus::InProgress;
    let covered = match first.retries {
        None => false,
        Some(false) => true,
        Some(true) => error.name == "Flaky",
    };
    let covered = covered && !(first.never_flaky && error.name == "Flaky");
    let expired = error.name == EXPIRED_ERROR_NAME;
    let wanted =
        covered && !direct && !expired && error.name != ZOMBIE_ERROR_NAME && first.delay(row.retry_for.len()).is_some();
    if wanted != (row.status == TaskStatus::Retried) {
        world.violated([row.id], format!("a failure of {} with {} became {}", row.function, error.name, row.status));
    }
}

/// Each Task's row at the end.
pub fn last_rows(world: &World) -> Vec<TaskRow> {
    world.journal().rows.values().filter_map(|versions| versions.last()).map(|version| version.row.clone()).collect()
}

/// Whether the record says that the code ran.
pub fn says_that_it_ran(row: &TaskRow) -> bool {
    let by_error = row.error.as_ref().is_some_and(|error| match error.kind {
        TaskErrorKind::Runtime => error.name != ZOMBIE_ERROR_NAME,
        TaskErrorKind::Invocation => false,
    });
    row.status == TaskStatus::Complete || by_error
}
