//! Slots that nobody uses come back.

use std::{sync::Arc, time::Duration};

use tasklane_model::FunctionName;
use tasklane_store::{SlotScope, Store};

use super::{
    liveness::{limit_of, most_skew},
    records::last_rows,
};
use crate::{plan::Shape, world::World};

/// A direct execution that was asked for at this time is refused: then all slots of direct executions were taken, or the
/// Function's own, whatever queued Tasks hold.
pub fn refused(world: &World, function: &str, asked: i64) {
    // On a machine the one process leases all of them, and the ledger does not tell which are in use.
    if world.plan.shape == Shape::Machine {
        return;
    }
    let own = format!("function:{function}");
    let limits = [("direct", limit_of(world, "direct")), (&*own, limit_of(world, &own))];
    let (now, skew) = (world.elapsed(), most_skew(world));
    let was_full = {
        let live = &mut *world.live();
        limits.into_iter().any(|(scope, limit)| live.note_full(scope, limit, now, skew) >= asked)
    };
    // What held for the Function when its limit was read may have changed since.
    let changed =
        world.journal().functions.get(function).is_some_and(|states| states.iter().any(|(at, _)| *at >= asked - 3000));
    if !was_full && !changed {
        world.violated([], format!("a direct execution of {function} was refused though a slot was free for it"));
    }
}

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
    let scopes = own.map(SlotScope::Function).chain([SlotScope::Tasks, SlotScope::Direct]);
    for scope in scopes {
        match store.slots.held(&scope, world.now()).await {
            Ok(0) => {}
            Ok(held) => world.violated([], format!("{held} slots of {scope} are still held when nothing runs")),
            Err(error) => world.violated([], format!("the slots of {scope} cannot be counted: {error}")),
        }
    }
}
