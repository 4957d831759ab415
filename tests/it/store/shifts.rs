//! Which dispatchers may drain before their time is up.

use std::time::Duration;

use tasklane::{model::Timestamp, store::RunnerId};

use super::World;

const SHIFT: Duration = Duration::from_secs(900);

/// Shifts that began one second after the other.
async fn begun(world: &World, holders: &[&str]) {
    for (second, holder) in (0..).zip(holders) {
        let began = began(world, second);
        let until = began.saturating_add(SHIFT);
        world.store.shifts.enter(&RunnerId::new(*holder), began, until, world.now()).await.unwrap();
    }
}

fn began(world: &World, second: u64) -> Timestamp {
    world.now().saturating_add(Duration::from_secs(second))
}

async fn may_drain(world: &World, holder: &str) -> bool {
    world.store.shifts.may_drain(&RunnerId::new(holder), world.now()).await.unwrap()
}

#[tokio::test]
async fn the_newest_shift_continues_and_fewer_than_half_drain() {
    let world = World::new().await;
    assert!(!may_drain(&world, "unknown").await, "it has not entered");
    begun(&world, &["a", "b", "c", "d"]).await;
    assert!(!may_drain(&world, "d").await, "it is the newest");
    assert!(may_drain(&world, "b").await);
    assert!(may_drain(&world, "b").await, "it drains already");
    assert!(may_drain(&world, "a").await);
    assert!(!may_drain(&world, "c").await, "half of them drain");
    world.store.shifts.leave(&RunnerId::new("b")).await.unwrap();
    assert!(may_drain(&world, "c").await, "one has ended");
}

#[tokio::test]
async fn a_shift_that_must_drain_does_not_let_others_drain() {
    let world = World::new().await;
    begun(&world, &["a", "b", "c"]).await;
    world.store.shifts.must_drain(&RunnerId::new("c"), world.now()).await.unwrap();
    assert!(!may_drain(&world, "b").await, "the newer one drains");
    assert!(may_drain(&world, "a").await);
}

#[tokio::test]
async fn an_entry_expires_when_its_process_is_stopped() {
    let world = World::new().await;
    begun(&world, &["a"]).await;
    let (began, until) = (began(&world, 1), began(&world, 100));
    world.store.shifts.enter(&RunnerId::new("dead"), began, until, world.now()).await.unwrap();
    world.clock.advance(Duration::from_secs(100));
    assert!(!may_drain(&world, "a").await, "the newer one is gone");
}

#[tokio::test]
async fn entering_twice_changes_nothing_but_a_new_shift_claims() {
    let world = World::new().await;
    begun(&world, &["a", "b"]).await;
    assert!(may_drain(&world, "a").await);
    begun(&world, &["a", "b"]).await;
    assert!(may_drain(&world, "a").await, "it still drains");
    let later = began(&world, 60);
    world.store.shifts.enter(&RunnerId::new("a"), later, later.saturating_add(SHIFT), world.now()).await.unwrap();
    assert!(!may_drain(&world, "a").await, "its next shift is the newest");
    assert!(may_drain(&world, "b").await);
}

#[tokio::test]
async fn of_two_that_began_in_the_same_millisecond_one_may_drain() {
    let world = World::new().await;
    begun(&world, &["a"]).await;
    begun(&world, &["b"]).await;
    assert!(!may_drain(&world, "b").await);
    assert!(may_drain(&world, "a").await);
}
