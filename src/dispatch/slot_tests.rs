//! Which slots a process keeps, which it gives back, and who is told.

use std::time::Duration;

use super::{Acquired, Idle, tests::limited};
use crate::{
    model::{Caller, Function, FunctionName, PermissionMode},
    service::{FunctionChange, FunctionOptions},
    store::SlotScope,
    testing::World,
};

fn public() -> FunctionOptions {
    FunctionOptions { permission_mode: Some(PermissionMode::Public), ..FunctionOptions::default() }
}

async fn function(world: &World, name: &str) -> Function {
    world.store.functions.get(&FunctionName::parse(name).unwrap()).await.unwrap().unwrap().value
}

async fn held(world: &World) -> u16 {
    world.store.slots.held(&SlotScope::Tasks, world.now()).await.unwrap()
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
    // Its lease lasts for the run, its grace, and half a minute in which the next may start.
    let time_limit = function(&world, "hello").await.time_limit.as_duration();
    tokio::time::sleep(time_limit + Duration::from_secs(60)).await;
    assert_eq!(held(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_slot_is_given_back_where_others_may_need_it() {
    for (limit, others) in [(3, 0), (4, 1), (8, 2)] {
        let world = World::at_rest(limit).await;
        world.function("hello", public()).await;
        let other = world.beside(limit, "another");
        let mut used = Vec::new();
        for _ in 0..others {
            used.push(other.slots.acquire().await.unwrap());
        }
        execute(&world).await;
        assert_eq!(held(&world).await, others, "{others} of {limit} are in use");
    }
}

#[tokio::test(start_paused = true)]
async fn the_slot_of_a_lease_that_ends_before_a_run_would_is_leased_anew() {
    let world = World::at_rest(4).await;
    world.function("hello", public()).await;
    execute(&world).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    let time_limit = function(&world, "hello").await.time_limit.as_duration();
    let Acquired::Granted(_slot) = world.slots.acquire_for(&function(&world, "hello").await).await.unwrap() else {
        panic!("there are free slots")
    };
    tokio::time::sleep(time_limit + Duration::from_secs(30)).await;
    assert_eq!(held(&world).await, 1, "a run on it may still be in progress");
}

#[tokio::test(start_paused = true)]
async fn a_lease_with_a_run_on_it_is_never_made_shorter() {
    let world = World::at_rest(4).await;
    world.function("hello", public()).await;
    let long = world.slots.acquire().await.unwrap();
    let short = world.slots.acquire_for(&function(&world, "hello").await).await.unwrap();
    tokio::time::sleep(Duration::from_secs(300 + 30)).await;
    assert_eq!(held(&world).await, 2);
    drop((long, short));
}

#[tokio::test(start_paused = true)]
async fn somebody_waits_only_where_every_slot_was_held() {
    let world = World::at_rest(2).await;
    world.function("hello", public()).await;
    let other = world.beside(2, "another");
    let hello = function(&world, "hello").await;
    drop(world.slots.acquire_for(&hello).await.unwrap());
    assert!(!world.slots.give_back(Idle::Scarce).await, "the other slot was free all the time");
    let used = other.slots.acquire_for(&hello).await.unwrap();
    let last = world.slots.acquire_for(&hello).await.unwrap();
    assert!(matches!(other.slots.acquire_for(&hello).await.unwrap(), Acquired::Full(SlotScope::Tasks)));
    drop(last);
    assert!(world.slots.give_back(Idle::Scarce).await, "another was refused this slot");
    drop(used);
    assert!(!other.slots.give_back(Idle::Scarce).await, "one was free meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_others_were_refused_wakes_a_dispatcher() {
    let world = World::at_rest(1).await;
    world.function("hello", public()).await;
    let waits = world.woken.notified();
    execute(&world).await;
    // Nobody was refused, but nobody can know that.
    tokio::time::timeout(Duration::from_secs(1), waits).await.unwrap();
    let world = World::at_rest(2).await;
    world.function("hello", public()).await;
    let waits = world.woken.notified();
    execute(&world).await;
    tokio::time::timeout(Duration::from_secs(1), waits).await.expect_err("a slot was free all the time");
}

#[tokio::test(start_paused = true)]
async fn a_lowered_limit_holds_for_processes_that_leased_under_the_higher_one() {
    let world = World::at_rest(5).await;
    world.function("narrow", limited(2)).await;
    let other = world.beside(5, "another");
    let before = function(&world, "narrow").await;
    let acquired = async |world: &World, function| {
        matches!(world.slots.acquire_for(function).await.unwrap(), Acquired::Granted(_))
    };
    // Each leases one, uses it, and is free to use it again.
    assert!(acquired(&world, &before).await && acquired(&other, &before).await);
    let change = FunctionChange { options: limited(1), ..FunctionChange::default() };
    world.service.update_function("narrow", change).await.unwrap();
    let after = function(&world, "narrow").await;
    let first = world.slots.acquire_for(&after).await.unwrap();
    assert!(matches!(first, Acquired::Full(_)), "another process still holds the only slot");
    other.slots.give_back(Idle::All).await;
    let first = world.slots.acquire_for(&after).await.unwrap();
    assert!(matches!(first, Acquired::Granted(_)));
    assert!(!acquired(&other, &after).await, "two runs under a limit of one");
}
