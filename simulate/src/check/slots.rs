//! Slots that nobody uses come back.

use std::{sync::Arc, time::Duration};

use tasklane::{
    model::FunctionName,
    store::{SlotScope, Store},
};

use super::records::last_rows;
use crate::world::World;

/// How long the longest lease lasts.
const LEASE: Duration = Duration::from_secs(300 + 30 + 30);

/// Once nothing runs, every slot is free again when the last lease has ended.
pub async fn given_back(world: &Arc<World>, store: &Store) {
    // A quarter of the seeds pays for the wait. Where Tasks wait for their Function to be enabled, dispatchers go on
    // looking at them, with a slot in their hand.
    let waiting = last_rows(world).iter().any(|row| !row.status.is_final());
    if !world.plan.seed.is_multiple_of(4) || waiting {
        return;
    }
    tokio::time::sleep(LEASE + Duration::from_secs(10)).await;
    let own = world.plan.functions.iter().filter_map(|function| FunctionName::parse(&function.name).ok());
    let scopes = own.map(SlotScope::Function).chain([SlotScope::Tasks]);
    for scope in scopes {
        match store.slots.held(&scope, world.now()).await {
            Ok(0) => {}
            Ok(held) => world.violated([], format!("{held} slots of {scope} are still held when nothing runs")),
            Err(error) => world.violated([], format!("the slots of {scope} cannot be counted: {error}")),
        }
    }
}
