//! Unused slots are returned.

use std::{sync::Arc, time::Duration};

use tasklane_model::FunctionName;
use tasklane_store::{SlotScope, Store};

use super::{
    liveness::{limit_of, most_skew},
    records::last_rows,
};
use crate::{plan::Shape, world::World};

/// How long a process takes a scope for full whose parts it has all read.
const FULL_FOR: i64 = 2000;

/// Called when a direct execution that was requested at `asked` is refused. Its own limit must have been reached, or
/// the Function's, whatever queued Tasks hold.
pub fn refused(world: &World, function: &str, asked: i64) {
    // On a machine, the only process leases all of them, and the ledger does not say which are in use.
    if world.plan.shape == Shape::Machine {
        return;
    }
    let own = format!("function:{function}");
    let asked = if world.plan.has_parts() { asked - FULL_FOR } else { asked };
    let limits = [("direct", limit_of(world, "direct")), (&*own, limit_of(world, &own))];
    let (now, skew) = (world.elapsed(), most_skew(world));
    let was_full = {
        let live = &mut *world.live();
        limits.into_iter().any(|(scope, limit)| live.note_full(scope, limit, now, skew) >= asked)
    };
    // The Function's limit may have changed since it was read.
    let changed =
        world.journal().functions.get(function).is_some_and(|states| states.iter().any(|(at, _)| *at >= asked - 3000));
    if !was_full && !changed {
        world.violated([], format!("a direct execution of {function} was refused although a slot was free for it"));
    }
}

/// The longest lease.
const LEASE: Duration = Duration::from_secs(300 + 30 + 30);

/// Once nothing runs, every slot is free again when the last lease has ended.
pub async fn given_back(world: &Arc<World>, store: &Store) {
    // Only a quarter of the seeds, because the wait is long. While Tasks wait for their Function to be enabled,
    // dispatchers keep looking at them and hold a slot.
    let waiting = last_rows(world).iter().any(|row| !row.status.is_final());
    if !world.plan.seed.is_multiple_of(4) || waiting {
        return;
    }
    tokio::time::sleep(LEASE + Duration::from_secs(10)).await;
    let own = world.plan.functions.iter().filter_map(|function| FunctionName::parse(&function.name).ok());
    let scopes = own.map(SlotScope::Function).chain([SlotScope::Tasks, SlotScope::Direct]);
    for scope in scopes {
        match store.slots.held(&scope, world.now()).await {
            Ok(0) => {}
            Ok(held) => world.violated([], format!("{held} slots of {scope} are still held although nothing runs")),
            Err(error) => world.violated([], format!("the slots of {scope} cannot be counted: {error}")),
        }
    }
}
