//! Creates Tasks for occurrences of Schedules (contract §15).
//!
//! A process that finds a Schedule due moves it forward step by step. Each step is one conditional write, so any number of
//! processes may do this at the same time, and may die in between.

use std::{sync::Arc, time::Duration};

use tasklane_model::{
    CatchUp, Function, ObjectId, Overlap, Schedule, Task, TaskOptions, TaskOrigin, TaskStatus, Timestamp,
    schedule::MOST_OCCURRENCES,
};
use tasklane_ports::{Ports, Wakeup};
use tasklane_runtime::backoff::Backoff;
use tasklane_store::{DuePosition, ScheduleRecord, Step, Store, StoreError};
use tracing::warn;

use super::{FunctionDirectory, retry::spread};

/// How late an occurrence is at least if nothing was running at its time, where a clock starts the ticker each minute: two
/// ticks must have failed or come late.
pub(crate) const MISSED_AFTER: Duration = Duration::from_secs(180);

/// How many steps are taken with a Schedule before others have their turn: as many as there are occurrences of one each
/// second that are not yet missed, and those that are made up for.
const MOST_STEPS: usize = 300;

/// Where a process begins to look for due Schedules: each time at another part, so that few of them look at the same one.
pub(crate) fn first_due(store: &Store, ports: &Ports) -> DuePosition {
    store.schedules.first_due(ports.chance.byte())
}

/// How long a step that was throttled waits before it is taken again, and how often.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const MOST_PAUSES: usize = 8;

/// Creates the Tasks of the occurrences that are due, as its overlap and catch-up say; with the Function as it was just
/// read, `None` if there is none. Occurrences before `missed_before` were missed while nothing ran. Takes no further step
/// after `ends`. Returns how many Tasks this call created.
pub(crate) async fn create_due(
    store: &Store,
    ports: &Ports,
    function: Option<&Function>,
    mut record: ScheduleRecord,
    missed_before: Timestamp,
    ends: Timestamp,
) -> Result<usize, StoreError> {
    let mut created = 0;
    for step in 0..MOST_STEPS {
        let now = ports.clock.now();
        if record.look.is_none_or(|look| look > now) || (step > 0 && now >= ends) {
            break;
        }
        let Some(function) = function.filter(|function| function.enabled) else {
            pass_over(store, &record, now).await?;
            break;
        };
        match next_act(store, &record, missed_before, now).await? {
            Act::Create { occurrence, start, step } => {
                let task = task_of(ports.ids.next(now), function, &record.schedule, occurrence, start, now);
                let create = || store.schedules.materialise(&record, &step, &task, function.lane, now);
                if !when_throttled_again(ports, ends, create).await? {
                    break;
                }
                created += 1;
                record = record.after(step, Some(task.id), now);
            }
            Act::Pass(step) => {
                if !when_throttled_again(ports, ends, || store.schedules.pass(&record, &step, now)).await? {
                    break;
                }
                record = record.after(step, None, now);
            }
        }
    }
    Ok(created)
}

/// Takes a step again, a few times and while there is time, if a partition was over its throughput: many Schedules may be due
/// at once, and one that is passed over waits for the next tick.
async fn when_throttled_again<F>(ports: &Ports, ends: Timestamp, step: impl Fn() -> F) -> Result<bool, StoreError>
where
    F: Future<Output = Result<bool, StoreError>>,
{
    let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).take(MOST_PAUSES);
    loop {
        let done = step().await;
        let Err(StoreError::Throttled { .. }) = done else { return done };
        match pauses.next() {
            // Those that were throttled together would be throttled together again.
            Some(pause) if ports.clock.now().saturating_add(pause) < ends => {
                ports.clock.sleep(spread(pause, &*ports.chance)).await;
            }
            Some(_) | None => return done,
        }
    }
}

/// The same for a caller who has not read the Function, and for occurrences of which none was missed.
pub async fn materialise(
    store: &Store,
    ports: &Ports,
    functions: &FunctionDirectory,
    record: ScheduleRecord,
) -> Result<usize, StoreError> {
    let function = functions.read(&record.schedule.function_name).await?;
    create_due(store, ports, function.as_deref(), record, Timestamp::EPOCH, Timestamp::LATEST).await
}

/// Creates the Task that waited for the end of this one, if it is the last of its chain and a Schedule made it. If that
/// fails, the Schedule is looked at again within seconds.
pub(crate) async fn release_next(store: &Store, ports: &Ports, functions: &FunctionDirectory, ended: &Task) {
    let Some(id) = ended.options.schedule_id.filter(|_| ended.status != TaskStatus::Retried) else { return };
    let release = async {
        match store.schedules.record(id).await? {
            Some(mut record) if !record.waiting.is_empty() && record.schedule.enabled => {
                record.look = Some(ports.clock.now());
                materialise(store, ports, functions, record).await
            }
            Some(_) | None => Ok(0),
        }
    };
    match release.await {
        Ok(0) => {}
        Ok(_) => {
            if let Err(error) = ports.wakeups.wake(Wakeup::NOW).await {
                warn!(schedule = %id, %error, "no wake-up was sent; the ticker will find the task");
            }
        }
        Err(error) => warn!(schedule = %id, %error, "the next task of the schedule is left to the ticker"),
    }
}

/// What to do next with a Schedule that is due.
enum Act {
    /// Create the Task of an occurrence, with this start.
    Create { occurrence: Timestamp, start: Timestamp, step: Step },
    /// Move on without a Task.
    Pass(Step),
}

async fn next_act(
    store: &Store,
    record: &ScheduleRecord,
    missed_before: Timestamp,
    now: Timestamp,
) -> Result<Act, StoreError> {
    let ScheduleRecord { schedule, waiting, last_task, .. } = record;
    let overlap = schedule.overlap.unwrap_or_default();
    let is_free = match (overlap, last_task) {
        (Overlap::Allow, _) | (_, None) => true,
        (Overlap::Skip | Overlap::Queue, Some(last)) => store.tasks.has_chain_ended(*last).await?,
    };
    if let Some((first, rest)) = waiting.split_first()
        && is_free
        // A process with a faster clock may have queued it.
        && *first <= now
    {
        let step = Step { next: schedule.next_timestamp, waiting: rest.to_vec() };
        // It is due from the moment at which it can be.
        return Ok(Act::Create { occurrence: *first, start: now, step });
    }
    let Some(next) = schedule.next_timestamp.filter(|next| *next <= now) else {
        // Only to look again later.
        let step = Step { next: schedule.next_timestamp, waiting: waiting.clone() };
        return Ok(Act::Pass(step));
    };
    let due = match after_missed(schedule, next, missed_before) {
        Some(due) if due <= now => due,
        later => {
            let step = Step { next: later, waiting: waiting.clone() };
            return Ok(Act::Pass(step));
        }
    };
    let create = |occurrence| Act::Create {
        occurrence,
        start: occurrence,
        step: Step { waiting: waiting.clone(), ..Step::to(schedule.occurrence_after(occurrence)) },
    };
    Ok(match overlap {
        Overlap::Allow => create(due),
        Overlap::Skip | Overlap::Queue if is_free && waiting.is_empty() => create(due),
        Overlap::Skip => Act::Pass(Step::to(schedule.occurrence_after(now))),
        Overlap::Queue => Act::Pass(queued(record, due, now)),
    })
}

/// The first occurrence to be handled, from `next` on, which is due: of those before `missed_before`, some are passed over.
fn after_missed(schedule: &Schedule, next: Timestamp, missed_before: Timestamp) -> Option<Timestamp> {
    if next >= missed_before {
        return Some(next);
    }
    match schedule.catch_up.unwrap_or_default() {
        CatchUp::None => schedule.occurrence_from(missed_before),
        CatchUp::Latest => Some(schedule.first_of_last(1, next, missed_before)),
        CatchUp::All => Some(schedule.first_of_last(MOST_OCCURRENCES, next, missed_before)),
    }
}

/// Puts the occurrences that are due behind those that wait, as long as there is room.
fn queued(record: &ScheduleRecord, due: Timestamp, now: Timestamp) -> Step {
    let schedule = &record.schedule;
    let mut waiting = record.waiting.clone();
    let mut next = Some(due);
    while let Some(at) = next.filter(|at| *at <= now && waiting.len() < MOST_OCCURRENCES) {
        waiting.push(at);
        next = schedule.occurrence_after(at);
    }
    if next.is_some_and(|next| next <= now) {
        warn!(schedule = %schedule.id, "occurrences are passed over: {MOST_OCCURRENCES} wait already");
        next = schedule.occurrence_after(now);
    }
    Step { next, waiting }
}

/// Moves a Schedule on whose Function cannot run anything. A Task of an unknown Function cannot be created (16). A disabled
/// Function runs nothing, and Tasks that pile up meanwhile would all start at once when it is enabled.
async fn pass_over(store: &Store, record: &ScheduleRecord, now: Timestamp) -> Result<(), StoreError> {
    let ScheduleRecord { schedule, waiting, .. } = record;
    let step = match schedule.next_timestamp {
        Some(next) if next <= now => {
            warn!(
                schedule = %schedule.id, function = %schedule.function_name,
                "an occurrence was skipped: the function is disabled or does not exist"
            );
            Step { waiting: waiting.clone(), ..Step::to(schedule.occurrence_after(now)) }
        }
        next => Step { next, waiting: waiting.clone() },
    };
    store.schedules.pass(record, &step, now).await.map(|_| ())
}

/// The Task of an occurrence of this Schedule, or of a run that a caller asked for. `now` is when it is created.
pub(crate) fn task_of(
    id: ObjectId,
    function: &Function,
    schedule: &Schedule,
    occurrence: Timestamp,
    start: Timestamp,
    now: Timestamp,
) -> Task {
    Task {
        data: schedule.data.clone(),
        start_timestamp: start,
        priority: schedule.priority.unwrap_or(function.execution_options.default_priority),
        origin: TaskOrigin {
            created_by_user_id: schedule.created_by_user_id.clone(),
            created_by_application_id: schedule.created_by_application_id.clone(),
        },
        options: TaskOptions {
            on_complete: schedule.on_complete.clone(),
            schedule_id: Some(schedule.id),
            occurrence_timestamp: Some(occurrence),
            ..TaskOptions::inherited_from(function)
        },
        ..Task::new(id, schedule.function_name.clone(), now)
    }
}

/// The Task of a run that a caller asks for now. It is no occurrence, so nothing waits for it.
pub fn task_of_now(ports: &Ports, function: &Arc<Function>, schedule: &Schedule) -> Task {
    let now = ports.clock.now();
    task_of(ports.ids.next(now), function, schedule, now, now, now)
}
