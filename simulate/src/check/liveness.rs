//! Liveness: while a slot that it may use is free, a due Task starts within five seconds of a delivered wake-up, or
//! else within one tick and five seconds.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc, time::Duration};

use tasklane_model::{ObjectId, TaskStatus};

use super::flow;
use crate::{
    journal::{FunctionState, Journal, LifeId, Version},
    live::{Delivery, Live, Shift},
    plan::Shape,
    row::TaskRow,
    time,
    world::World,
};

/// How soon a Task starts after a wake-up, or after the tick that must find it.
const PROMPT: i64 = 5000;

/// The time between two checks: a change may be noticed this much later.
const LOOK: i64 = 500;

/// How long a gate may know of a Task that has ended: somebody looks at it twice a minute.
const GATE: i64 = 35_000;

/// Frozen and dead processes are back this long after the faults end.
const RECOVERY: i64 = 10_000;

/// Checks until the run ends.
pub async fn watch(world: Arc<World>) {
    loop {
        tokio::time::sleep(Duration::from_millis(LOOK as u64)).await;
        let late = look(&world);
        for (task, what) in late {
            world.violated([task], what);
        }
        if let Some(what) = all_drain(&world) {
            world.violated([], what);
        }
    }
}

/// Called after a write that may change what is free: slots (except on a machine, whose only process leases them all),
/// or the room that dispatchers have.
pub fn saw_row(world: &World) {
    note(world, &world.journal(), &mut world.live());
}

fn note(world: &World, journal: &Journal, live: &mut Live) {
    note_scopes(world, journal, live, world.elapsed());
    if world.plan.shape == Shape::Cloud {
        note_room(world, journal, live, world.elapsed());
    }
}

fn look(world: &World) -> Vec<(ObjectId, String)> {
    let now = world.elapsed();
    let journal = world.journal();
    let live = &mut *world.live();
    note(world, &journal, live);
    let skew = most_skew(world);
    let mut late = Vec::new();
    for (id, versions) in &journal.rows {
        let Some(version) = versions.last() else { continue };
        let Some(since) = may_start_since(world, &journal, live, version, now) else { continue };
        let since = since.max(time::since_start(version.row.start) + skew);
        let is_late = |since| limit(world, &journal, live, version, since).filter(|(until, _)| now > *until);
        if let Some((_, why)) = is_late(since)
            // One dispatcher after another was free for it, and took a better one.
            && is_late(since.max(last_better_claim(&journal, version))).is_some()
            && !live.reported.contains(id)
        {
            late.push((
                *id,
                format!("a due task has not started although a slot has been free since {since} ms: {why}"),
            ));
        }
    }
    live.reported.extend(late.iter().map(|(id, _)| *id));
    late
}

/// By when the Task must have started if it could start all the time since then, and why.
fn limit(world: &World, journal: &Journal, live: &Live, version: &Version, since: i64) -> Option<(i64, &'static str)> {
    match world.plan.shape {
        Shape::Machine => on_machine(journal, live, since),
        Shape::Cloud => {
            let woken = live.deliveries.iter();
            let woken = woken.filter_map(|delivery| woken_by(world, journal, live, delivery, version, since));
            ticked(world, since).into_iter().chain(woken).min_by_key(|(until, _)| *until)
        }
    }
}

/// When a Task that precedes this one was last claimed from the queue.
fn last_better_claim(journal: &Journal, version: &Version) -> i64 {
    let key = |row: &TaskRow| (Reverse(row.priority), row.start, row.id);
    let better = journal.claims.iter().filter_map(|claim| journal.claimed(claim.task));
    better.filter(|claimed| key(&claimed.row) < key(&version.row)).map(|claimed| claimed.at).max().unwrap_or(0)
}

/// The number of slots in a scope of the ledger; `None`: unlimited.
pub fn limit_of(world: &World, scope: &str) -> Option<u16> {
    match scope.strip_prefix("function:") {
        Some(function) => state_of(&world.journal(), function).and_then(|(_, state)| state.limit),
        None if scope == "tasks" => Some(world.plan.task_limit),
        None => Some(world.plan.direct_limit),
    }
}

/// The largest error of a clock.
pub fn most_skew(world: &World) -> i64 {
    world.plan.skews.iter().map(|skew| skew.abs()).max().unwrap_or(0)
}

/// Marks the scopes that have no free slot now.
fn note_scopes(world: &World, journal: &Journal, live: &mut Live, now: i64) {
    let limits = |function: &str| state_of(journal, function).and_then(|(_, state)| state.limit);
    let scopes =
        world.plan.functions.iter().map(|function| (format!("function:{}", function.name), limits(&function.name)));
    let scopes: Vec<_> = scopes.chain([("tasks".to_owned(), Some(world.plan.task_limit))]).collect();
    if world.plan.shape == Shape::Cloud {
        for (scope, limit) in scopes {
            live.note_full(&scope, limit, now, LOOK + most_skew(world));
        }
        return;
    }
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    for (id, versions) in &journal.rows {
        let running = versions.last().filter(|version| version.row.status == TaskStatus::InProgress);
        let Some(version) = running else { continue };
        *used.entry(format!("function:{}", version.row.function)).or_default() += 1;
        if !journal.is_direct(*id) {
            *used.entry("tasks".to_owned()).or_default() += 1;
        }
    }
    for (scope, limit) in scopes {
        let used = used.get(&scope).copied().unwrap_or(0);
        live.note(&scope, limit.is_some_and(|limit| used >= usize::from(limit)), now);
    }
}

/// The Function's state, and the time since when it has had it.
fn state_of<'a>(journal: &'a Journal, function: &str) -> Option<(i64, &'a FunctionState)> {
    let (at, state) = journal.functions.get(function)?.last()?;
    Some((*at, state.as_ref()?))
}

/// The time since when this Task could start if a dispatcher looked at the queue; `None` if it cannot start.
fn may_start_since(world: &World, journal: &Journal, live: &mut Live, version: &Version, now: i64) -> Option<i64> {
    let row = &version.row;
    if row.status != TaskStatus::New || time::since_start(row.start) > now {
        return None;
    }
    let (changed, state) = state_of(journal, &row.function)?;
    if !state.enabled {
        return None;
    }
    let last_full = live.note("tasks", false, now).max(live.note(&format!("function:{}", row.function), false, now));
    let room = if world.plan.shape == Shape::Cloud { live.no_room } else { 0 };
    let since = version.at.max(changed).max(last_full).max(room);
    match state.flow {
        Some(flow) if !row.is_admitted() && flow::key_of_row(row).is_some() => {
            Some(since.max(flow::taken_until(world, journal, row, flow, now)) + GATE)
        }
        Some(_) | None => Some(since),
    }
}

/// Marks the dispatchers that cannot start one more run, and whether none can and no other can be woken.
fn note_room(world: &World, journal: &Journal, live: &mut Live, now: i64) {
    live.shifts.retain(|life, _| live.lives.contains_key(life));
    let mut runs: BTreeMap<LifeId, usize> = BTreeMap::new();
    for (id, versions) in &journal.rows {
        let running = versions.last().filter(|version| version.row.status == TaskStatus::InProgress);
        if let Some(version) = running.filter(|_| !journal.is_direct(*id)) {
            *runs.entry(version.by).or_default() += 1;
        }
    }
    let mut listens = false;
    for (life, shift) in &live.shifts {
        let runs = runs.get(life).copied().unwrap_or(0);
        if !shift.drains(now) && runs < world.plan.runs_per_dispatcher {
            listens = true;
        } else {
            live.no_room_of.insert(*life, now);
        }
    }
    let idle = live.lives.keys().any(|life| !live.shifts.contains_key(life));
    if !listens && (!idle || live.shifts.len() >= world.plan.dispatchers) {
        live.no_room = now;
    }
}

/// The maximum number of dispatchers is at work, all of them are well, and none of them claims: none can be woken.
fn all_drain(world: &World) -> Option<String> {
    let (now, live) = (world.elapsed(), &mut *world.live());
    let journal = world.journal();
    let (long, full) = (world.plan.has_long_shifts(), live.shifts.len() >= world.plan.dispatchers);
    let drain = |(life, shift): (&LifeId, &Shift)| {
        // The product learns of the beginning of its shift a little later.
        shift.drains(now - LOOK) && live.lives.contains_key(life) && !journal.troubled(*life, shift.began, now)
    };
    if !long || !full || live.all_drain || !live.shifts.iter().all(drain) {
        return None;
    }
    live.all_drain = true;
    let shifts: Vec<_> = live.shifts.iter().map(|(life, shift)| format!("{life} since {} ms", shift.began)).collect();
    Some(format!("every dispatcher drains, and no other can be woken; at work: {}", shifts.join(", ")))
}

/// On a machine, the dispatcher looks without being woken, and wake-ups are never lost.
fn on_machine(journal: &Journal, live: &Live, since: i64) -> Option<(i64, &'static str)> {
    let started = live.lives.values().next()?;
    let troubled = journal.troubles.iter().map(|trouble| trouble.until).max().unwrap_or(0);
    Some((since.max(*started).max(troubled) + 2 * PROMPT + LOOK, "its process has had time to look"))
}

/// If nothing goes wrong, the next tick finds it.
fn ticked(world: &World, since: i64) -> Option<(i64, &'static str)> {
    let calm = match world.calm_since() {
        _ if !world.plan.faults.any() => 0,
        Some(calm) => calm + i64::try_from(world.plan.faults.longest_freeze).unwrap_or(0) + RECOVERY,
        None => return None,
    };
    let tick = i64::try_from(world.plan.tick_every.as_millis()).unwrap_or(0);
    Some((since.max(calm) + tick + PROMPT + LOOK, "a tick has run since then"))
}

/// If this wake-up reached a dispatcher that is well, the dispatcher starts the Task.
fn woken_by(
    world: &World,
    journal: &Journal,
    live: &Live,
    delivery: &Delivery,
    version: &Version,
    since: i64,
) -> Option<(i64, &'static str)> {
    let lag = if world.plan.faults.stale_index > 0 {
        i64::try_from((world.plan.index_lag + world.plan.index_hides).as_millis()).unwrap_or(0)
    } else {
        0
    };
    let named = delivery.task == Some(version.row.id);
    // A dispatcher that was woken for another Task learns of this one only from the index.
    let visible = if named { since } else { since.max(version.at + lag) };
    if delivery.at < visible {
        return None;
    }
    let until = delivery.at + PROMPT + lag + LOOK;
    match delivery.to {
        // It was sent, and no random fault stopped it.
        None => Some((until, "a wake-up was sent since then, and dropped")),
        Some(life) => {
            let well = live.lives.contains_key(&life) && !journal.troubled(life, delivery.at - LOOK, until);
            let had_room = live.no_room_of.get(&life).is_none_or(|last| *last < delivery.at);
            (well && had_room).then_some((until, "a dispatcher has been woken since then"))
        }
    }
}
