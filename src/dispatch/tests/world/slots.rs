//! Tests which slots a process keeps, which it returns, and who is woken.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tasklane_dispatch::{Acquired, Idle, work_shift};
use tasklane_model::{Caller, ErrorKind, Function, FunctionName, PermissionMode, TaskStatus, TimeLimit};
use tasklane_ports::InvokeError;
use tasklane_service::{FunctionChange, FunctionOptions};
use tasklane_store::{Division, SlotScope};
use tasklane_testing::{TestLambda, World};

use super::{limited, shift_for};

fn public() -> FunctionOptions {
    FunctionOptions { permission_mode: Some(PermissionMode::Public), ..FunctionOptions::default() }
}

async fn function(world: &World, name: &str) -> Function {
    world.store.functions.get(&FunctionName::parse(name).unwrap()).await.unwrap().unwrap().value
}

/// How many slots for direct executions are held.
async fn held(world: &World) -> u16 {
    world.store.slots.held(&SlotScope::Direct, world.now()).await.unwrap()
}

async fn execute(world: &World) {
    world.service.execute(&Caller::Nobody, "hello", None).await.unwrap();
    world.service.drain().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_slot_stays_for_the_next_run_while_few_are_held() {
    let world = World::at_rest(4).await;
    world.function("hello", public()).await;
    execute(&world).await;
    assert_eq!(held(&world).await, 1);
    // Its lease covers the run, its grace, and half a minute in which the next run may start.
    let time_limit = function(&world, "hello").await.time_limit().as_duration();
    tokio::time::sleep(time_limit + Duration::from_secs(60)).await;
    assert_eq!(held(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_slot_is_returned_if_others_may_need_it() {
    for (limit, others) in [(3, 0), (4, 1), (8, 2)] {
        let world = World::at_rest(limit).await;
        world.function("hello", public()).await;
        let other = world.beside(limit, "another");
        let mut used = Vec::new();
        for _ in 0..others {
            used.push(other.slots.acquire_direct(&function(&other, "hello").await).await.unwrap());
        }
        execute(&world).await;
        assert_eq!(held(&world).await, others, "{others} of {limit} are in use");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_before_the_run_is_renewed() {
    let world = World::at_rest(4).await;
    world.function("hello", public()).await;
    execute(&world).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    let time_limit = function(&world, "hello").await.time_limit().as_duration();
    let Acquired::Granted(_slot) = world.slots.acquire_direct(&function(&world, "hello").await).await.unwrap() else {
        panic!("there are free slots")
    };
    tokio::time::sleep(time_limit + Duration::from_secs(30)).await;
    assert_eq!(held(&world).await, 1, "a run on it may still be in progress");
}

#[tokio::test(start_paused = true)]
async fn a_lease_with_a_run_on_it_is_never_made_shorter() {
    let world = World::at_rest(4).await;
    world.function("hello", public()).await;
    world.function("long", FunctionOptions { time_limit: Some(TimeLimit::MAX), ..public() }).await;
    let long = world.slots.acquire_direct(&function(&world, "long").await).await.unwrap();
    let short = world.slots.acquire_direct(&function(&world, "hello").await).await.unwrap();
    tokio::time::sleep(Duration::from_secs(300 + 30)).await;
    assert_eq!(held(&world).await, 2);
    drop((long, short));
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_is_woken_only_if_every_slot_was_held() {
    let world = World::at_rest(2).await;
    world.function("hello", public()).await;
    let other = world.beside(2, "another");
    let hello = function(&world, "hello").await;
    drop(world.slots.acquire_queued(&hello).await.unwrap());
    assert!(!world.slots.give_back(Idle::Scarce).await, "the other slot was free all the time");
    let used = other.slots.acquire_queued(&hello).await.unwrap();
    let last = world.slots.acquire_queued(&hello).await.unwrap();
    assert!(matches!(other.slots.acquire_queued(&hello).await.unwrap(), Acquired::Full(SlotScope::Tasks)));
    drop(last);
    assert!(world.slots.give_back(Idle::Scarce).await, "another was refused this slot");
    drop(used);
    assert!(!other.slots.give_back(Idle::Scarce).await, "one was free meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_direct_execution_wakes_a_dispatcher_only_if_the_functions_limit_was_reached() {
    for (limit, wakes) in [(None, false), (Some(1), true), (Some(2), false)] {
        // The only slot for direct executions; no queued Task waits for it.
        let world = World::at_rest(1).await;
        let own = limit.map_or_else(FunctionOptions::default, limited);
        world.function("hello", FunctionOptions { concurrency_limit: own.concurrency_limit, ..public() }).await;
        let woken = world.woken.notified();
        execute(&world).await;
        // No dispatcher was refused, but the process cannot know that.
        let woken = tokio::time::timeout(Duration::from_secs(1), woken).await;
        assert_eq!(woken.is_ok(), wakes, "a limit of {limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_direct_execution_runs_while_queued_tasks_hold_all_of_their_slots() {
    let world = World::running(1).await;
    world.function("hello", public()).await;
    world.function("slow", FunctionOptions::default()).await;
    world.lambda.take("slow", Duration::from_secs(5));
    let queued = [world.task("slow").await, world.task("slow").await];
    world.when(queued[0].id, |status| status == TaskStatus::InProgress).await;
    execute(&world).await;
    assert_eq!(world.get(queued[0].id).await.status, TaskStatus::InProgress);
    assert_eq!(world.get(queued[1].id).await.status, TaskStatus::New, "the other slot is not for queued Tasks");
}

#[tokio::test(start_paused = true)]
async fn direct_executions_beyond_their_own_limit_are_refused_while_queued_tasks_have_slots() {
    let world = World::at_rest(1).await;
    world.function("slow", public()).await;
    world.lambda.take("slow", Duration::from_secs(5));
    let first = tokio::spawn({
        let service = world.service.clone();
        async move { service.execute(&Caller::Nobody, "slow", None).await.map(|_| ()) }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let refused = world.service.execute(&Caller::Nobody, "slow", None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConcurrentExecutionLimit);
    world.start();
    let queued = world.task("slow").await;
    world.when(queued.id, |status| status == TaskStatus::InProgress).await;
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_functions_own_limit_counts_queued_and_direct_runs_together() {
    let world = World::running(5).await;
    let options = FunctionOptions { concurrency_limit: limited(1).concurrency_limit, ..public() };
    world.function("narrow", options).await;
    world.lambda.take("narrow", Duration::from_secs(5));
    let queued = world.task("narrow").await;
    world.when(queued.id, |status| status == TaskStatus::InProgress).await;
    let refused = world.service.execute(&Caller::Nobody, "narrow", None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConcurrentExecutionLimit);
    world.finished(queued.id).await;
    world.service.execute(&Caller::Nobody, "narrow", None).await.unwrap();
    assert_eq!(world.lambda.most_running(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_direct_run_with_an_unknown_outcome_frees_its_functions_limit_for_waiting_tasks() {
    let world = World::running(5).await;
    let options = FunctionOptions { concurrency_limit: limited(1).concurrency_limit, ..public() };
    world.function("narrow", options).await;
    let lost = AtomicBool::new(true);
    world.lambda.behave("narrow", move |_| {
        let lost = lost.swap(false, Ordering::SeqCst);
        async move {
            if lost { Err(InvokeError::OutcomeUnknown("reset".to_owned())) } else { Ok(TestLambda::returned("{}")) }
        }
    });
    world.service.execute(&Caller::Nobody, "narrow", None).await.unwrap_err();
    let waiting = world.task("narrow").await;
    assert_eq!(world.finished(waiting.id).await.status, TaskStatus::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_lowered_limit_holds_for_processes_that_leased_under_the_higher_one() {
    let world = World::at_rest(5).await;
    world.function("narrow", limited(2)).await;
    let other = world.beside(5, "another");
    let before = function(&world, "narrow").await;
    let acquired = async |world: &World, function| {
        matches!(world.slots.acquire_direct(function).await.unwrap(), Acquired::Granted(_))
    };
    // Each leases one slot, uses it, and keeps it for another run.
    assert!(acquired(&world, &before).await && acquired(&other, &before).await);
    let change = FunctionChange { options: limited(1), ..FunctionChange::default() };
    world.service.update_function("narrow", change).await.unwrap();
    let after = function(&world, "narrow").await;
    let first = world.slots.acquire_direct(&after).await.unwrap();
    assert!(matches!(first, Acquired::Full(_)), "another process still holds the only slot");
    other.slots.give_back(Idle::All).await;
    let first = world.slots.acquire_direct(&after).await.unwrap();
    assert!(matches!(first, Acquired::Granted(_)));
    assert!(!acquired(&other, &after).await, "two runs under a limit of one");
}

/// Each slot is a part of its own.
const ONES: Division = Division { undivided: 0, slots_per_part: 1 };

#[tokio::test(start_paused = true)]
async fn the_last_free_slot_is_found_in_any_part() {
    let world = World::divided(8, ONES).await;
    world.function("hello", public()).await;
    let hello = function(&world, "hello").await;
    for name in ["a", "b", "c", "d"] {
        let other = world.beside(8, name);
        let mut used = Vec::new();
        for _ in 0..7 {
            used.push(world.slots.acquire_direct(&hello).await.unwrap());
        }
        let last = other.slots.acquire_direct(&hello).await.unwrap();
        assert!(matches!(last, Acquired::Granted(_)), "{name} does not find the last slot");
        let more = other.slots.acquire_direct(&hello).await.unwrap();
        assert!(matches!(more, Acquired::Full(SlotScope::Direct)), "{name} gets one too many");
        drop((used, last));
        world.slots.give_back(Idle::All).await;
        other.slots.give_back(Idle::All).await;
        assert_eq!(held(&world).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_refused_looks_at_one_part_after_the_other_and_soon_at_all() {
    let world = World::divided(8, ONES).await;
    world.function("hello", public()).await;
    let hello = function(&world, "hello").await;
    let other = world.beside(8, "another");
    let acquire = async || match other.slots.acquire_direct(&hello).await.unwrap() {
        Acquired::Granted(slot) => Some(slot),
        Acquired::Full(_) => None,
    };
    let give_one_back = async |used: &mut Vec<Acquired>| {
        used.pop();
        world.slots.give_back(Idle::All).await;
    };
    let mut used = Vec::new();
    for _ in 0..8 {
        used.push(world.slots.acquire_direct(&hello).await.unwrap());
    }
    assert!(acquire().await.is_none());
    give_one_back(&mut used).await;
    let mut found = Vec::new();
    for _ in 0..8 {
        if found.is_empty() {
            found.extend(acquire().await);
        }
    }
    assert_eq!(found.len(), 1, "no look of eight found the free slot");
    assert!(acquire().await.is_none());
    give_one_back(&mut used).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(acquire().await.is_some(), "the scope is not full any more");
}

#[tokio::test(start_paused = true)]
async fn a_return_to_a_full_part_wakes_the_dispatcher_that_found_all_parts_full() {
    let world = World::divided(2, ONES).await;
    world.function("hello", public()).await;
    let hello = function(&world, "hello").await;
    let other = world.beside(2, "another");
    let used = world.slots.acquire_queued(&hello).await.unwrap();
    let last = world.slots.acquire_queued(&hello).await.unwrap();
    assert!(matches!(other.slots.acquire_queued(&hello).await.unwrap(), Acquired::Full(SlotScope::Tasks)));
    drop(last);
    assert!(world.slots.give_back(Idle::Scarce).await, "another was refused this slot");
    // A shift that begins takes nothing for full that was.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let freed = other.slots.acquire_queued(&hello).await.unwrap();
    assert!(matches!(freed, Acquired::Granted(_)));
    drop(used);
}

#[tokio::test(start_paused = true)]
async fn a_woken_shift_finds_the_slot_that_it_was_woken_for() {
    let world = World::divided(4, ONES).await;
    world.function("hello", FunctionOptions::default()).await;
    let hello = function(&world, "hello").await;
    let other = world.beside(4, "another");
    let mut used = Vec::new();
    for _ in 0..4 {
        used.push(other.slots.acquire_queued(&hello).await.unwrap());
    }
    let task = world.task("hello").await;
    let shift = || shift_for(&world, []);
    work_shift(&world.dispatcher, &world.slots, &world.ports, shift()).await.unwrap();
    assert_eq!(world.get(task.id).await.status, TaskStatus::New, "no slot was free");
    used.pop();
    other.slots.give_back(Idle::All).await;
    work_shift(&world.dispatcher, &world.slots, &world.ports, shift()).await.unwrap();
    assert_eq!(world.get(task.id).await.status, TaskStatus::Complete);
}
