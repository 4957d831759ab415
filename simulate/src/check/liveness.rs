//! Liveness: while a slot that it may use is free, a due Task starts within five seconds of a wake-up that was delivered,
//! else within one tick and five seconds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tasklane_model::{ObjectId, TaskStatus};

use crate::{
    journal::{FunctionState, Journal, LifeId, Version},
    live::{Delivery, Live, Shift},
    plan::Shape,
    time,
    world::World,
};

/// How soon a Task starts after a wake-up, or after the tick that has to find it.
const PROMPT: i64 = 5000;

/// How often is looked, and so by how much a moment may be missed.
const LOOK: i64 = 500;

/// After calm has come, what was frozen or dead comes back within this.
const RECOVERY: i64 = 10_000;

/// Looks again and again.
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

/// A write that may change what is free: slots, where nobody but the only process leases them, or the room that dispatchers
/// have.
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
        let limit = match world.plan.shape {
            Shape::Machine => on_machine(&journal, live, since),
            Shape::Cloud => {
                let woken = live
                    .deliveries
                    .iter()
                    .filter_map(|delivery| woken(world, &journal, live, delivery, version, since));
                ticked(world, since).into_iter().chain(woken).min_by_key(|(until, _)| *until)
            }
        };
        if let Some((until, why)) = limit
            && now > until
            && !live.reported.contains(id)
        {
            late.push((*id, format!("a due task does not start, though a slot is free since {since} ms: {why}")));
        }
    }
    live.reported.extend(late.iter().map(|(id, _)| *id));
    late
}

/// How many slots there are of a scope of the ledger; `None`: no end of them.
pub fn limit_of(world: &World, scope: &str) -> Option<u16> {
    match scope.strip_prefix("function:") {
        Some(function) => state_of(&world.journal(), function).and_then(|(_, state)| state.limit),
        None if scope == "tasks" => Some(world.plan.task_limit),
        None => Some(world.plan.direct_limit),
    }
}

/// By how much a clock is wrong at most.
pub fn most_skew(world: &World) -> i64 {
    world.plan.skews.iter().map(|skew| skew.abs()).max().unwrap_or(0)
}

/// Marks what is not free now.
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

/// The Function's state, and since when it is that.
fn state_of<'a>(journal: &'a Journal, function: &str) -> Option<(i64, &'a FunctionState)> {
    let (at, state) = journal.functions.get(function)?.last()?;
    Some((*at, state.as_ref()?))
}

/// Since when nothing but a look at the queue keeps this Task from starting; `None`: something does.
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
    Some(version.at.max(changed).max(last_full).max(room))
}

/// Marks which dispatchers cannot start one more run, and whether none can and no other can be woken.
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

/// As many dispatchers are at work as may be, all of them are well, and none of them claims: nobody can be woken.
fn all_drain(world: &World) -> Option<String> {
    let (now, live) = (world.elapsed(), &mut *world.live());
    let journal = world.journal();
    let (long, full) = (world.plan.has_long_shifts(), live.shifts.len() >= world.plan.dispatchers);
    let drain = |(life, shift): (&LifeId, &Shift)| {
        // What the product is told of its shift's beginning comes a moment later.
        shift.drains(now - LOOK) && live.lives.contains_key(life) && !journal.troubled(*life, shift.began, now)
    };
    if !long || !full || live.all_drain || !live.shifts.iter().all(drain) {
        return None;
    }
    live.all_drain = true;
    let shifts: Vec<_> = live.shifts.iter().map(|(life, shift)| format!("{life} since {} ms", shift.began)).collect();
    Some(format!("every dispatcher drains, and no other can be woken: at work are {}", shifts.join(", ")))
}

/// A machine's dispatcher looks by itself, and its wake-ups are never lost.
fn on_machine(journal: &Journal, live: &Live, since: i64) -> Option<(i64, &'static str)> {
    let started = live.lives.values().next()?;
    let troubled = journal.troubles.iter().map(|trouble| trouble.until).max().unwrap_or(0);
    Some((since.max(*started).max(troubled) + 2 * PROMPT + LOOK, "its process has had time to look"))
}

/// The next tick finds it, where nothing goes wrong.
fn ticked(world: &World, since: i64) -> Option<(i64, &'static str)> {
    let calm = match world.calm_since() {
        _ if !world.plan.faults.any() => 0,
        Some(calm) => calm + i64::try_from(world.plan.faults.longest_freeze).unwrap_or(0) + RECOVERY,
        None => return None,
    };
    let tick = i64::try_from(world.plan.tick_every.as_millis()).unwrap_or(0);
    Some((since.max(calm) + tick + PROMPT + LOOK, "a tick has come since"))
}

/// This wake-up leads to it, when it reached a dispatcher that is well.
fn woken(
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
    // Of a Task that it was not sent for a dispatcher knows by the index alone.
    let visible = if named { since } else { since.max(version.at + lag) };
    if delivery.at < visible {
        return None;
    }
    let until = delivery.at + PROMPT + lag + LOOK;
    match delivery.to {
        // It was sent, and nothing that goes wrong by chance kept it.
        None => Some((until, "a wake-up was sent since and dropped")),
        Some(life) => {
            let well = live.lives.contains_key(&life) && !journal.troubled(life, delivery.at - LOOK, until);
            let had_room = live.no_room_of.get(&life).is_none_or(|last| *last < delivery.at);
            (well && had_room).then_some((until, "a dispatcher was woken since"))
        }
    }
}
