//! Slots: the limit holds in every race.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use tasklane::store::{RunnerId, SlotScope};

use super::{World, function};

fn runner(name: impl ToString) -> RunnerId {
    RunnerId::new(name.to_string())
}

#[tokio::test]
async fn a_holder_gets_what_the_others_leave() {
    let world = World::new().await;
    let (slots, now) = (&world.store.slots, world.now());
    let until = now.saturating_add(Duration::from_secs(60));
    let lease = async |name: &str, wanted, limit| {
        slots.lease(&SlotScope::Tasks, &runner(name), 0..=wanted, limit, until, now).await.unwrap().slots
    };
    assert_eq!(slots.held(&SlotScope::Tasks, now).await.unwrap(), 0);
    assert_eq!(lease("a", 3, 5).await, 3);
    assert_eq!(lease("b", 3, 5).await, 2);
    assert_eq!(lease("c", 1, 5).await, 0);
    // A holder requests its total, not an increment.
    assert_eq!(lease("a", 1, 5).await, 1);
    assert_eq!(lease("b", 9, 5).await, 4);
    assert_eq!(slots.held(&SlotScope::Tasks, now).await.unwrap(), 5);
    // A smaller limit affects the next holder that asks.
    assert_eq!(lease("b", 4, 3).await, 2);
    // But not slots in use.
    let in_use = slots.lease(&SlotScope::Tasks, &runner("b"), 2..=3, 1, until, now).await.unwrap().slots;
    assert_eq!(in_use, 2);
    assert_eq!(lease("a", 0, 3).await, 0);
    assert_eq!(lease("b", 0, 3).await, 0);
    assert_eq!(slots.held(&SlotScope::Tasks, now).await.unwrap(), 0);
}

#[tokio::test]
async fn the_slots_of_an_expired_lease_are_free() {
    let world = World::new().await;
    let slots = &world.store.slots;
    let scope = SlotScope::Tasks;
    let until = world.now().saturating_add(Duration::from_secs(60));
    assert_eq!(slots.lease(&scope, &runner("a"), 0..=5, 5, until, world.now()).await.unwrap().slots, 5);
    world.clock.advance(Duration::from_millis(59_999));
    let later = world.now().saturating_add(Duration::from_secs(60));
    assert_eq!(slots.lease(&scope, &runner("b"), 0..=5, 5, later, world.now()).await.unwrap().slots, 0);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(slots.held(&scope, world.now()).await.unwrap(), 0);
    assert_eq!(slots.lease(&scope, &runner("b"), 0..=5, 5, later, world.now()).await.unwrap().slots, 5);
}

#[tokio::test]
async fn scopes_do_not_share_their_slots() {
    let world = World::new().await;
    let (slots, now) = (&world.store.slots, world.now());
    let until = now.saturating_add(Duration::from_secs(60));
    for scope in [SlotScope::Tasks, SlotScope::Function(function("f")), SlotScope::Function(function("tasks"))] {
        assert_eq!(slots.lease(&scope, &runner("a"), 0..=2, 2, until, now).await.unwrap().slots, 2, "{scope}");
    }
}

#[tokio::test]
async fn requesting_slots_that_are_already_held_writes_nothing() {
    let world = World::new().await;
    let (slots, now) = (&world.store.slots, world.now());
    let until = now.saturating_add(Duration::from_secs(60));
    slots.lease(&SlotScope::Tasks, &runner("a"), 0..=2, 5, until, now).await.unwrap();
    world.wire.forget();
    assert_eq!(slots.lease(&SlotScope::Tasks, &runner("a"), 0..=2, 5, until, now).await.unwrap().slots, 2);
    assert_eq!(slots.lease(&SlotScope::Tasks, &runner("b"), 0..=0, 5, until, now).await.unwrap().slots, 0);
    assert_eq!(world.wire.calls("PutItem"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_holders_never_exceed_the_limit() {
    const LIMIT: u16 = 5;
    let world = Arc::new(World::new().await);
    let in_use = Arc::new(AtomicI32::new(0));
    let holders = (0..12).map(|n| {
        let (world, in_use) = (Arc::clone(&world), Arc::clone(&in_use));
        tokio::spawn(async move {
            let (slots, now) = (&world.store.slots, world.now());
            let until = now.saturating_add(Duration::from_secs(60));
            let me = runner(n);
            let mut most = 0;
            for round in 0..8_u16 {
                let wanted = 1 + (n + round) % 4;
                let got = slots.lease(&SlotScope::Tasks, &me, 0..=wanted, LIMIT, until, now).await.unwrap().slots;
                assert!(got <= wanted);
                let used = in_use.fetch_add(got.into(), Ordering::SeqCst) + i32::from(got);
                assert!(used <= LIMIT.into(), "{used} slots in use");
                most = most.max(used);
                tokio::task::yield_now().await;
                in_use.fetch_sub(got.into(), Ordering::SeqCst);
                assert_eq!(slots.lease(&SlotScope::Tasks, &me, 0..=0, LIMIT, until, now).await.unwrap().slots, 0);
            }
            most
        })
    });
    let most = join_all(holders).await.into_iter().map(Result::unwrap).max();
    assert!(most > Some(1), "nobody raced");
    assert_eq!(world.store.slots.held(&SlotScope::Tasks, world.now()).await.unwrap(), 0);
}
