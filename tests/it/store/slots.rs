//! Slots: the limit holds in every race, and between all parts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use tasklane::{
    model::Timestamp,
    store::{Division, RunnerId, SlotPart, SlotScope, Store},
};

use super::{World, function};

/// The main row of the slots for queued Tasks.
fn tasks() -> SlotPart {
    SlotPart::main(SlotScope::Tasks)
}

fn runner(name: impl ToString) -> RunnerId {
    RunnerId::new(name.to_string())
}

#[tokio::test]
async fn a_holder_gets_what_the_others_leave() {
    let world = World::new().await;
    let (slots, now) = (&world.store.slots, world.now());
    let until = now.saturating_add(Duration::from_secs(60));
    let lease = async |name: &str, wanted, limit| {
        slots.lease(&tasks(), &runner(name), 0..=wanted, limit, until, now).await.unwrap().slots
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
    let in_use = slots.lease(&tasks(), &runner("b"), 2..=3, 1, until, now).await.unwrap().slots;
    assert_eq!(in_use, 2);
    assert_eq!(lease("a", 0, 3).await, 0);
    assert_eq!(lease("b", 0, 3).await, 0);
    assert_eq!(slots.held(&SlotScope::Tasks, now).await.unwrap(), 0);
}

#[tokio::test]
async fn the_slots_of_an_expired_lease_are_free() {
    let world = World::new().await;
    let slots = &world.store.slots;
    let (scope, part) = (SlotScope::Tasks, tasks());
    let until = world.now().saturating_add(Duration::from_secs(60));
    assert_eq!(slots.lease(&part, &runner("a"), 0..=5, 5, until, world.now()).await.unwrap().slots, 5);
    world.clock.advance(Duration::from_millis(59_999));
    let later = world.now().saturating_add(Duration::from_secs(60));
    assert_eq!(slots.lease(&part, &runner("b"), 0..=5, 5, later, world.now()).await.unwrap().slots, 0);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(slots.held(&scope, world.now()).await.unwrap(), 0);
    assert_eq!(slots.lease(&part, &runner("b"), 0..=5, 5, later, world.now()).await.unwrap().slots, 5);
}

#[tokio::test]
async fn scopes_do_not_share_their_slots() {
    let world = World::new().await;
    let (slots, now) = (&world.store.slots, world.now());
    let until = now.saturating_add(Duration::from_secs(60));
    for scope in [SlotScope::Tasks, SlotScope::Function(function("f")), SlotScope::Function(function("tasks"))] {
        let part = SlotPart::main(scope.clone());
        assert_eq!(slots.lease(&part, &runner("a"), 0..=2, 2, until, now).await.unwrap().slots, 2, "{scope}");
    }
}

#[tokio::test]
async fn requesting_slots_that_are_already_held_writes_nothing() {
    let world = World::new().await;
    let (slots, now) = (&world.store.slots, world.now());
    let until = now.saturating_add(Duration::from_secs(60));
    slots.lease(&tasks(), &runner("a"), 0..=2, 5, until, now).await.unwrap();
    world.wire.forget();
    assert_eq!(slots.lease(&tasks(), &runner("a"), 0..=2, 5, until, now).await.unwrap().slots, 2);
    assert_eq!(slots.lease(&tasks(), &runner("b"), 0..=0, 5, until, now).await.unwrap().slots, 0);
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
                let got = slots.lease(&tasks(), &me, 0..=wanted, LIMIT, until, now).await.unwrap().slots;
                assert!(got <= wanted);
                let used = in_use.fetch_add(got.into(), Ordering::SeqCst) + i32::from(got);
                assert!(used <= LIMIT.into(), "{used} slots in use");
                most = most.max(used);
                tokio::task::yield_now().await;
                in_use.fetch_sub(got.into(), Ordering::SeqCst);
                assert_eq!(slots.lease(&tasks(), &me, 0..=0, LIMIT, until, now).await.unwrap().slots, 0);
            }
            most
        })
    });
    let most = join_all(holders).await.into_iter().map(Result::unwrap).max();
    assert!(most > Some(1), "nobody raced");
    assert_eq!(world.store.slots.held(&SlotScope::Tasks, world.now()).await.unwrap(), 0);
}

// --- Parts -----------------------------------------------------------------------------------------------------------

const FOURS: Division = Division { undivided: 4, slots_per_part: 4 };

impl World {
    async fn divided(division: Division) -> Self {
        Self::with(|config| config.slots = division).await
    }

    /// A process that knows nothing of parts.
    fn older(&self) -> Store {
        self.another_store(|config| config.slots = Division::NONE)
    }

    /// Leases up to so many slots from this part for a minute.
    async fn lease(&self, index: u16, holder: &str, wanted: u16, limit: u16) -> u16 {
        let (slots, now) = (&self.store.slots, self.now());
        let (part, until) = (slots.part(&SlotScope::Tasks, limit, index), now.saturating_add(Duration::from_secs(60)));
        slots.lease(&part, &runner(holder), 0..=wanted, limit, until, now).await.unwrap().slots
    }

    async fn held(&self) -> u16 {
        self.store.slots.held(&SlotScope::Tasks, self.now()).await.unwrap()
    }
}

#[tokio::test]
async fn the_parts_of_a_scope_have_its_slots() {
    let world = World::divided(FOURS).await;
    assert_eq!(world.store.slots.parts(4), 0);
    assert_eq!(world.store.slots.parts(10), 3);
    let mut got = Vec::new();
    for index in 0..3 {
        got.push(world.lease(index, "a", 9, 10).await);
    }
    assert_eq!((got, world.held().await), (vec![4, 3, 3], 10));
    assert_eq!(world.lease(1, "b", 1, 10).await, 0);
    let room = async || world.store.slots.with_room(&SlotScope::Tasks, 10, 1, world.now()).await.unwrap();
    assert_eq!(room().await, []);
    assert_eq!(world.lease(2, "a", 2, 10).await, 2);
    assert_eq!(room().await, [world.store.slots.part(&SlotScope::Tasks, 10, 2)]);
    assert_eq!(world.lease(2, "b", 1, 10).await, 1);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.held().await, 0);
}

#[tokio::test]
async fn a_lease_from_a_part_writes_only_its_row() {
    let world = World::divided(FOURS).await;
    world.lease(0, "a", 1, 10).await;
    world.wire.forget();
    world.lease(0, "b", 1, 10).await;
    world.lease(0, "b", 0, 10).await;
    let calls = ["GetItem", "PutItem", "TransactWriteItems"].map(|operation| world.wire.calls(operation));
    assert_eq!(calls, [2, 2, 0]);
    // What is refused, and what nobody holds, is not written.
    world.lease(0, "a", 4, 10).await;
    world.wire.forget();
    assert_eq!((world.lease(0, "b", 1, 10).await, world.lease(0, "c", 0, 10).await), (0, 0));
    assert_eq!(world.wire.calls("PutItem") + world.wire.calls("TransactWriteItems"), 0);
}

#[tokio::test]
async fn a_block_is_leased_once_even_if_the_response_is_lost() {
    let world = World::divided(FOURS).await;
    world.wire.lose_answers("TransactWriteItems", 1);
    assert_eq!(world.lease(0, "a", 1, 10).await, 1);
    assert_eq!(world.held().await, 1);
    world.wire.lose_answers("PutItem", 1);
    assert_eq!(world.lease(0, "b", 1, 10).await, 1);
    assert_eq!(world.held().await, 2);
}

#[tokio::test]
async fn what_is_in_use_in_any_part_counts_when_the_limit_is_lowered() {
    let world = World::divided(FOURS).await;
    // Six parts of four slots each; in one of them, three are in use, and the others are idle.
    for index in 0..6 {
        world.lease(index, "before", 1, 24).await;
        world.lease(index, "before", if index == 5 { 3 } else { 0 }, 24).await;
    }
    assert_eq!(world.held().await, 3);
    // Two parts of four slots: five of them are left, four of which are in the second part's block.
    assert_eq!(world.lease(0, "a", 4, 8).await, 1);
    assert_eq!(world.lease(1, "b", 5, 8).await, 4);
    assert_eq!(world.held().await, 8);
    assert_eq!(world.lease(0, "c", 1, 8).await, 0);
    // One that ends makes room for one.
    let part = world.store.slots.part(&SlotScope::Tasks, 24, 5);
    let until = world.now().saturating_add(Duration::from_secs(60));
    world.store.slots.lease(&part, &runner("before"), 2..=2, 24, until, world.now()).await.unwrap();
    assert_eq!(world.lease(0, "c", 2, 8).await, 1);
    // A limit that is not divided counts the parts, too.
    assert_eq!(world.lease(0, "d", 1, 4).await, 0);
}

#[tokio::test]
async fn a_process_that_knows_nothing_of_parts_shares_the_limit_with_them() {
    let world = World::divided(FOURS).await;
    let older = world.older();
    let old = async |wanted| {
        let (now, until) = (world.now(), world.now().saturating_add(Duration::from_secs(60)));
        older.slots.lease(&tasks(), &runner("old"), 0..=wanted, 10, until, now).await.unwrap().slots
    };
    assert_eq!(old(7).await, 7);
    assert_eq!(world.lease(0, "new", 4, 10).await, 3);
    assert_eq!(world.lease(1, "new", 4, 10).await, 0);
    assert_eq!(old(9).await, 7);
    assert_eq!(old(2).await, 2);
    assert_eq!(world.lease(1, "new", 4, 10).await, 3);
    assert_eq!(world.lease(2, "new", 4, 10).await, 2);
    assert_eq!((world.held().await, old(3).await), (10, 2));
}

/// A process of the model: its limit, and what it leased from each part, with the end of the lease and the limit under
/// which each slot was leased.
struct Holder {
    name: String,
    limit: u16,
    older: bool,
    leased: BTreeMap<SlotPart, (Timestamp, Vec<u16>)>,
}

#[tokio::test]
async fn no_more_slots_are_leased_under_a_limit_than_it_allows_whatever_other_processes_know() {
    const LIMITS: [u16; 6] = [1, 2, 3, 5, 8, 13];
    let (mut granted, mut refused) = (0, 0);
    for seed in 1..=10_u64 {
        let mut state = seed;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let world = World::divided(Division { undivided: 2, slots_per_part: 2 }).await;
        let older = world.older();
        let holder = |n| Holder { name: format!("h{n}"), limit: 5, older: n == 0, leased: BTreeMap::new() };
        let mut holders: Vec<Holder> = (0..6).map(holder).collect();
        for _ in 0..120 {
            let now = world.now();
            let index = draw(6) as usize;
            let holder = &mut holders[index];
            let (store, me) = (if holder.older { &older } else { &world.store }, runner(&holder.name));
            match draw(10) {
                0 => holder.limit = LIMITS[draw(6) as usize],
                1 => world.clock.advance(Duration::from_secs(draw(40))),
                2..=6 => {
                    let part = store.slots.part(&SlotScope::Tasks, holder.limit, draw(8) as u16);
                    let until = now.saturating_add(Duration::from_secs(60));
                    let own = holder.leased.entry(part.clone()).or_insert((until, Vec::new()));
                    let used = own.1.len() as u16;
                    let lease = store.slots.lease(&part, &me, used..=used + 1, holder.limit, until, now);
                    own.0 = until;
                    if lease.await.unwrap().slots > used {
                        own.1.push(holder.limit);
                        granted += 1;
                    } else {
                        refused += 1;
                    }
                }
                _ => {
                    let Some((part, (until, slots))) = holder.leased.iter_mut().next() else { continue };
                    slots.pop();
                    let left = slots.len() as u16;
                    store.slots.lease(part, &me, left..=left, holder.limit, *until, now).await.unwrap();
                }
            }
            let now = world.now();
            holders.iter_mut().for_each(|holder| {
                holder.leased.retain(|_, (until, slots)| *until > now && !slots.is_empty());
            });
            let all: Vec<u16> = holders
                .iter()
                .flat_map(|holder| holder.leased.values().flat_map(|(_, limits)| limits.iter().copied()))
                .collect();
            for limit in LIMITS {
                let under = all.iter().filter(|of| **of <= limit).count();
                assert!(under <= usize::from(limit), "seed {seed}: {under} slots leased under a limit of {limit}");
            }
            assert_eq!(usize::from(world.held().await), all.len(), "seed {seed}");
        }
    }
    assert!(granted > 100 && refused > 100, "{granted} granted, {refused} refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn as_many_concurrent_holders_as_slots_all_get_one() {
    const LIMIT: u16 = 1000;
    let world = Arc::new(World::new().await);
    let parts = world.store.slots.parts(LIMIT);
    assert!(parts > 10);
    let holders = (0..LIMIT).map(|n| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            for part in 0..parts {
                if world.lease(n + part, &format!("aws-{n:016x}"), 1, LIMIT).await == 1 {
                    return true;
                }
            }
            false
        })
    });
    let got = join_all(holders).await.into_iter().filter(|got| matches!(got, Ok(true))).count();
    assert_eq!((got, world.held().await), (usize::from(LIMIT), LIMIT));
    for part in 0..parts {
        assert_eq!(world.lease(part, "one more", 1, LIMIT).await, 0);
    }
}
