//! A dispatcher that has an end: what one invocation of the dispatcher's Lambda function does.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tracing::{info, warn};

use super::{Claimed, Dispatcher, Idle, Slots};
use crate::{
    model::{ObjectId, Timestamp},
    ports::{Ports, Wakeup},
    store::StoreError,
};

/// How long before its end a shift claims nothing more: the longest run (300 s), the grace of its lease (30 s), and
/// what it takes to write outcomes down.
pub const LAST_CLAIM: Duration = Duration::from_secs(300 + 30 + 20);

/// How long to wait before the queue is read again, when others took all that was seen or the store did not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a shift that holds runs goes without a look at the queue. As many dispatchers may be at work as there can be
/// at once; then no wake-up reaches anybody, and what comes due is found by these looks alone.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long to wait, once, when others hold every slot: one of them may be giving back what it no longer needs, and
/// would not see what came since it looked last.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// How long to wait before the next look for a Task that the shift was woken for and that the queue does not show.
const LOOK_FOR_HIDDEN: Duration = Duration::from_millis(500);

/// How long a shift goes on looking for a Task that it was woken for and that the queue does not show: the index that
/// the queue is read from may lag that much, and the clocks of two processes may differ by that much.
const LONGEST_LAG: Duration = Duration::from_secs(4);

/// What one invocation of a dispatcher is to do.
#[derive(Clone, Debug)]
pub struct Shift {
    /// The Tasks that the wake-ups which started it were sent for.
    pub woken_for: Vec<ObjectId>,
    /// When it must have ended.
    pub ends: Timestamp,
}

/// Claims and runs Tasks until nothing is due or the shift's end comes near, and then waits for the runs in progress.
/// While runs are in progress it goes on looking. When its end comes near, another dispatcher is woken for what may be
/// left, before the runs are waited for.
///
/// An error only when nothing was started and the store cannot be read: then the wake-up should come again.
pub async fn work_shift(dispatcher: &Dispatcher, slots: &Slots, ports: &Ports, shift: Shift) -> Result<(), StoreError> {
    let last_claim = shift.ends.saturating_sub(LAST_CLAIM);
    let gives_up_waiting = ports.clock.now().saturating_add(LONGEST_LAG);
    let freed = Arc::new(Notify::new());
    let mut looked_twice = false;
    let mut asks_for_help = ports.clock.now();
    let work_left = loop {
        let now = ports.clock.now();
        if now >= last_claim {
            break true;
        }
        // Registered before the look at the queue, so that a slot freed in between is not missed.
        let slot_freed = freed.notified();
        match look(dispatcher, &freed).await {
            Ok(Claimed::Nothing) if dispatcher.running() == 0 => {
                match wait_for_hidden(dispatcher, ports, &shift.woken_for, gives_up_waiting).await {
                    Some(pause) => ports.clock.sleep(pause).await,
                    None => break false,
                }
            }
            Ok(Claimed::Full) if dispatcher.running() == 0 => {
                if looked_twice {
                    break false;
                }
                looked_twice = true;
                ports.clock.sleep(SECOND_LOOK).await;
            }
            Ok(found @ (Claimed::Nothing | Claimed::Full | Claimed::NoRoom)) => {
                slots.give_back(Idle::All).await;
                let now = ports.clock.now();
                if found == Claimed::NoRoom && now >= asks_for_help {
                    // The process that woke this may have made more Tasks ready than one process can hold.
                    asks_for_help = now.saturating_add(LOOK_AGAIN);
                    wake_another(ports).await;
                }
                let rest = last_claim.since(now);
                let rest = if found == Claimed::NoRoom { rest } else { rest.min(LOOK_AGAIN) };
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
    if work_left {
        info!("the shift claims nothing more; waking another dispatcher for what may be left");
        wake_another(ports).await;
        slots.give_back(Idle::All).await;
    }
    dispatcher.drain().await;
    slots.give_back(Idle::All).await;
    Ok(())
}

async fn wake_another(ports: &Ports) {
    if let Err(error) = ports.wakeups.wake(Wakeup::NOW).await {
        warn!(%error, "no wake-up was sent; the ticker finds what is left");
    }
}

/// What woke this may have been sent for a Task that was not due until now.
async fn look(dispatcher: &Dispatcher, freed: &Arc<Notify>) -> Result<Claimed, StoreError> {
    dispatcher.promote_due().await?;
    dispatcher.claim_all(freed).await
}

/// How long to wait until the next look, when one of the Tasks that the shift was woken for still waits, though the queue
/// does not show it or it is not due by this process's clock.
async fn wait_for_hidden(
    dispatcher: &Dispatcher,
    ports: &Ports,
    woken_for: &[ObjectId],
    gives_up: Timestamp,
) -> Option<Duration> {
    let due = match dispatcher.first_due(woken_for).await {
        Ok(due) => due?,
        Err(error) => {
            warn!(%error, "the tasks that this was woken for could not be read; the ticker finds them");
            return None;
        }
    };
    let now = ports.clock.now();
    let next = due.max(now.saturating_add(LOOK_FOR_HIDDEN));
    (next <= gives_up).then(|| next.since(now))
}
