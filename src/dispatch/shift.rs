//! A dispatcher that has an end: what one invocation of the dispatcher's Lambda function does.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tracing::{info, warn};

use super::{Claimed, Dispatcher, Idle, Slots};
use crate::{model::Timestamp, ports::Ports, store::StoreError};

/// How long before its end a shift claims nothing more: the longest run (300 s), the grace of its lease (30 s), and
/// what it takes to write outcomes down.
const LAST_CLAIM: Duration = Duration::from_secs(300 + 30 + 20);

/// How long to wait before the queue is read again, when others took all that was seen or the store did not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// How long to wait, once, when others hold every slot: one of them may be giving back what it no longer needs, and
/// would not see what came since it looked last.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// Claims and runs Tasks until nothing is due or `ends` comes near, and then waits for the runs in progress. When work
/// may be left at the end, another dispatcher is woken for it.
///
/// An error only when nothing was started and the store cannot be read: then the wake-up should come again.
pub async fn work_shift(
    dispatcher: &Dispatcher,
    slots: &Slots,
    ports: &Ports,
    ends: Timestamp,
) -> Result<(), StoreError> {
    let last_claim = ends.saturating_sub(LAST_CLAIM);
    let freed = Arc::new(Notify::new());
    let mut looked_twice = false;
    let work_left = loop {
        if ports.clock.now() >= last_claim {
            break true;
        }
        // Registered before the look at the queue, so that a slot freed in between is not missed.
        let slot_freed = freed.notified();
        match look(dispatcher, &freed).await {
            Ok(Claimed::Nothing) if dispatcher.running() == 0 => break false,
            Ok(Claimed::Full) if dispatcher.running() == 0 => {
                if looked_twice {
                    break false;
                }
                looked_twice = true;
                ports.clock.sleep(SECOND_LOOK).await;
            }
            Ok(Claimed::Nothing | Claimed::Full) => {
                slots.give_back(Idle::All).await;
                let rest = last_claim.since(ports.clock.now());
                tokio::select! {
                    biased;
                    () = slot_freed => {}
                    () = ports.clock.sleep(rest) => {}
                }
            }
            Ok(Claimed::Started | Claimed::Contended) => ports.clock.sleep(PAUSE).await,
            Err(error) if dispatcher.running() == 0 => {
                slots.give_back(Idle::All).await;
                return Err(error);
            }
            Err(error) => {
                warn!(%error, "the queue could not be read; trying again");
                ports.clock.sleep(PAUSE).await;
            }
        }
    };
    dispatcher.drain().await;
    slots.give_back(Idle::All).await;
    if work_left {
        info!("the shift is over; waking another dispatcher for what may be left");
        if let Err(error) = ports.wakeups.wake(Duration::ZERO).await {
            warn!(%error, "no wake-up was sent; the ticker finds what is left");
        }
    }
    Ok(())
}

/// What woke this may have been sent for a Task that was not due until now.
async fn look(dispatcher: &Dispatcher, freed: &Arc<Notify>) -> Result<Claimed, StoreError> {
    dispatcher.promote_due().await?;
    dispatcher.claim_all(freed).await
}
