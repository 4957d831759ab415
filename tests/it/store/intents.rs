//! Intents of calls with idempotency keys.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tasklane::{
    model::{BodyDigest, IdempotencyKey, Once, OnceScope, Task, UserId},
    store::Found,
};

use super::{World, records};

/// A call with this key and body.
pub fn once(key: &str, body: &str) -> Once {
    Once { key: IdempotencyKey::parse(key).unwrap(), body: BodyDigest::of(body) }
}

/// Ada's calls of an endpoint.
pub fn once_scope(endpoint: &str) -> OnceScope {
    OnceScope { user: UserId::parse("ada").unwrap(), application: None, endpoint: endpoint.to_owned() }
}

/// The intent to create this Task, as the service writes it.
pub fn intent_of(task: &Task) -> Value {
    json!({
        "id": task.id, "created": task.creation_timestamp, "start": task.start_timestamp, "priority": task.priority,
    })
}

#[tokio::test]
async fn the_first_intent_under_a_key_counts_for_24_hours() {
    let world = World::new().await;
    let (intents, scope) = (&world.store.intents, once_scope("tasks"));
    let begin =
        async |key: &str, body: &str, intent: u8| intents.begin(&scope, &once(key, body), intent).await.unwrap();
    assert_eq!(intents.find::<u8>(&scope, &once("k", "{}")).await.unwrap(), None);
    assert_eq!(begin("k", "{}", 1).await, Found::Same(1));
    assert_eq!(begin("k", " { } ", 2).await, Found::Same(1));
    assert_eq!(begin("k", r#"{"a":1}"#, 3).await, Found::OtherBody);
    assert_eq!(begin("l", "{}", 4).await, Found::Same(4));
    assert_eq!(intents.begin(&once_scope("schedules"), &once("k", "{}"), 5).await.unwrap(), Found::Same(5));
    world.clock.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(intents.find(&scope, &once("k", "{}")).await.unwrap(), Some(Found::Same(1)));
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(intents.find::<u8>(&scope, &once("k", "{}")).await.unwrap(), None);
    assert_eq!(begin("k", r#"{"a":1}"#, 6).await, Found::Same(6));
    assert_eq!(begin("k", "{}", 7).await, Found::OtherBody);
}

#[tokio::test]
async fn of_many_intents_at_once_one_counts_even_if_responses_are_lost() {
    let world = World::new().await;
    let (scope, call) = (once_scope("tasks"), once("k", "{}"));
    world.wire.lose_answers("PutItem", 2);
    let begun = (0..50_u8).map(|intent| world.store.intents.begin(&scope, &call, intent));
    let counts: Vec<_> = join_all(begun).await.into_iter().map(Result::unwrap).collect();
    assert!(counts.iter().all(|intent| *intent == counts[0]), "{counts:?}");
}

#[tokio::test]
async fn a_schedule_is_added_with_its_key_or_not_at_all() {
    let world = World::new().await;
    let (schedules, scope) = (&world.store.schedules, once_scope("schedules"));
    let (first, second) = (records::schedule(&world), records::schedule(&world));
    world.wire.lose_answers("TransactWriteItems", 1);
    assert_eq!(schedules.create_once(&first, &scope, &once("k", "{}")).await.unwrap(), Found::Same(first.id));
    assert_eq!(schedules.create_once(&second, &scope, &once("k", "{}")).await.unwrap(), Found::Same(first.id));
    assert_eq!(schedules.create_once(&second, &scope, &once("k", r#"{"a":1}"#)).await.unwrap(), Found::OtherBody);
    assert!(schedules.get(first.id).await.unwrap().is_some());
    assert!(schedules.get(second.id).await.unwrap().is_none());
    let taken = schedules.create_once(&first, &scope, &once("l", "{}")).await.unwrap_err().to_string();
    assert!(taken.contains("another schedule has this id"), "{taken}");
    assert_eq!(world.store.intents.find::<Value>(&scope, &once("l", "{}")).await.unwrap(), None);
}
