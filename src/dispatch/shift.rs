//! A dispatcher that has an end: what one invocation of the dispatcher's Lambda function does.

use std::{sync::Arc, time::Duration};

use tasklane_model::{ObjectId, Timestamp};
use tasklane_ports::{Ports, Wakeup};
use tasklane_store::StoreError;
use tokio::{sync::Notify, task::JoinHandle};
use tracing::{info, warn};

use super::{Claimed, Dispatcher, Idle, Slots, tenure::Tenure};

/// How long a shift may have to wait for its runs after its last claim: the longest run (300 s), the grace of its lease
/// (30 s), and what it takes to write outcomes down.
pub const LONGEST_DRAIN: Duration = Duration::from_secs(300 + 30 + 20);

/// How long to wait before the queue is read again, when others took all that was seen or the store did not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a shift that holds runs goes without a look at the queue. As many dispatchers may be at work as there can be
/// at once; then no wake-up reaches anybody, and what comes due is found by these looks alone.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often a busy shift, which looks at the queue whenever a run ends, looks for Tasks and gates whose time has come. Each
/// time costs a read of every shard.
const PROMOTE_AGAIN: Duration = Duration::from_millis(250);

/// How often a shift looks for Schedules that are due.
const LOOK_AT_SCHEDULES: Duration = Duration::from_millis(500);

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
    /// How long before that it claims nothing more, so that its runs can end.
    pub longest_drain: Duration,
}

/// Claims and runs Tasks until nothing is due or the shift's end comes near, and then waits for the runs in progress.
/// While runs are in progress it goes on looking. When its end comes near, another dispatcher is woken for what may be
/// left, before the runs are waited for.
///
/// A shift that has lasted long may drain earlier, so that not all do at the same time: while every dispatcher only waits
/// for its runs, no wake-up reaches anybody.
///
/// An error only when nothing was started and the store cannot be read: then the wake-up should come again.
pub async fn work_shift(dispatcher: &Dispatcher, slots: &Slots, ports: &Ports, shift: Shift) -> Result<(), StoreError> {
    let mut work = Work::begin(dispatcher, slots, ports, shift);
    let end = loop {
        if let Some(end) = work.turn().await? {
            break end;
        }
    };
    if end == End::OutOfTime {
        info!("the shift stops claiming; waking another dispatcher for the remaining tasks");
        work.tenure.must_drain(dispatcher, slots, ports).await;
    }
    if matches!(end, End::OutOfTime | End::Relieved) {
        wake_another(ports).await;
        slots.give_back(Idle::All).await;
    }
    dispatcher.drain().await;
    slots.give_back(Idle::All).await;
    work.tenure.leave(dispatcher, slots).await;
    Ok(())
}

/// Why a shift is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing is due, and nothing runs here.
    NothingDue,
    /// Other processes hold every slot, and nothing runs here.
    NoSlot,
    /// A younger shift goes on, and this one may drain before its time is up.
    Relieved,
    /// What it claimed now might not end in time.
    OutOfTime,
}

/// What a shift does until its next look at the queue.
enum Rest {
    /// It sleeps.
    Pause(Duration),
    /// It sleeps, or until a run of its own has ended.
    UntilRunEnds(Duration),
    /// There is no next look.
    Over(End),
}

/// A shift at work.
struct Work<'a> {
    dispatcher: &'a Dispatcher,
    slots: &'a Slots,
    ports: &'a Ports,
    woken_for: Vec<ObjectId>,
    /// Notified when a run of its own has ended, and when Tasks of occurrences were created.
    changed: Arc<Notify>,
    last_claim: Timestamp,
    /// Until when it waits for a Task that it was woken for and that the queue does not show.
    waits_for_hidden_until: Timestamp,
    /// Whether it has looked a second time for a slot that others may give back.
    looked_twice: bool,
    /// From when on it may wake another dispatcher for what it has no room for.
    asks_for_help_from: Timestamp,
    tenure: Tenure,
    /// The occurrences that are being created, or were.
    occurrences: Option<JoinHandle<usize>>,
    looks_at_schedules_from: Timestamp,
    promotes_from: Timestamp,
}

impl<'a> Work<'a> {
    fn begin(dispatcher: &'a Dispatcher, slots: &'a Slots, ports: &'a Ports, shift: Shift) -> Self {
        let now = ports.clock.now();
        slots.forget_full();
        let tenure = Tenure::new(now, shift.ends, shift.longest_drain);
        Self {
            dispatcher,
            slots,
            ports,
            woken_for: shift.woken_for,
            changed: Arc::default(),
            last_claim: shift.ends.saturating_sub(shift.longest_drain),
            waits_for_hidden_until: now.saturating_add(LONGEST_LAG),
            looked_twice: false,
            asks_for_help_from: now,
            tenure,
            occurrences: None,
            looks_at_schedules_from: now,
            promotes_from: now,
        }
    }

    /// Looks at the queue, claims what can run, and waits for the time of the next look.
    async fn turn(&mut self) -> Result<Option<End>, StoreError> {
        if self.ports.clock.now() >= self.last_claim {
            return Ok(Some(End::OutOfTime));
        }
        if self.dispatcher.running() > 0 && self.tenure.may_drain(self.dispatcher, self.slots, self.ports).await {
            info!("a newer shift continues; this one stops claiming");
            return Ok(Some(End::Relieved));
        }
        // Registered before the look at the queue, so that a run that ends in between is not missed.
        let changed = Arc::clone(&self.changed);
        let changed = changed.notified();
        let rest = match self.look().await {
            Ok(Claimed::Nothing) if self.has_new_occurrences().await => return Ok(None),
            Ok(Claimed::Nothing | Claimed::Full) if self.works_on_bulk_operations().await => return Ok(None),
            Ok(found) => self.rest_after(found).await,
            Err(error) if self.dispatcher.running() == 0 => {
                self.slots.give_back(Idle::All).await;
                return Err(error);
            }
            Err(error) => {
                warn!(%error, "the queue could not be read; trying again");
                Rest::Pause(PAUSE)
            }
        };
        let has_rested = match rest {
            Rest::Pause(pause) => {
                self.ports.clock.sleep(pause).await;
                true
            }
            Rest::UntilRunEnds(pause) => tokio::select! {
                biased;
                () = changed => false,
                () = self.ports.clock.sleep(pause) => true,
            },
            Rest::Over(end) => return Ok(Some(end)),
        };
        if has_rested {
            // It may have waited for the time of a Task.
            self.promotes_from = self.ports.clock.now();
        }
        Ok(None)
    }

    /// The wake-up that started this shift may have been sent for a Task that was not due until now, or for an occurrence.
    async fn look(&mut self) -> Result<Claimed, StoreError> {
        let now = self.ports.clock.now();
        if now >= self.looks_at_schedules_from && self.occurrences.as_ref().is_none_or(JoinHandle::is_finished) {
            self.looks_at_schedules_from = now.saturating_add(LOOK_AT_SCHEDULES);
            self.occurrences = Some(self.dispatcher.begin_due_occurrences(Arc::clone(&self.changed)));
        }
        if now < self.promotes_from {
            let claimed = self.dispatcher.claim_all(&self.changed).await?;
            // Otherwise the shift may be over.
            if claimed != Claimed::Nothing || self.dispatcher.running() > 0 {
                return Ok(claimed);
            }
        }
        self.dispatcher.promote_due().await?;
        self.dispatcher.look_at_gates().await?;
        self.promotes_from = now.saturating_add(PROMOTE_AGAIN);
        self.dispatcher.claim_all(&self.changed).await
    }

    /// Whether Tasks of occurrences have been created since the queue was looked at. Waits for them only if nothing runs here.
    async fn has_new_occurrences(&mut self) -> bool {
        if self.dispatcher.running() > 0 {
            return false;
        }
        match self.occurrences.take() {
            Some(occurrences) => occurrences.await.is_ok_and(|created| created > 0),
            None => false,
        }
    }

    async fn rest_after(&mut self, found: Claimed) -> Rest {
        let holds_runs = self.dispatcher.running() > 0;
        match found {
            Claimed::Started | Claimed::Contended => Rest::Pause(PAUSE),
            Claimed::Nothing if !holds_runs => match self.wait_for_hidden().await {
                Some(pause) => Rest::Pause(pause),
                None => Rest::Over(End::NothingDue),
            },
            Claimed::Full if !holds_runs && self.looked_twice => Rest::Over(End::NoSlot),
            Claimed::Full if !holds_runs => {
                self.looked_twice = true;
                self.slots.forget_full();
                Rest::Pause(SECOND_LOOK)
            }
            Claimed::Nothing | Claimed::Full => {
                self.slots.give_back(Idle::All).await;
                Rest::UntilRunEnds(self.until_last_claim().min(LOOK_AGAIN))
            }
            Claimed::NoRoom => {
                self.slots.give_back(Idle::All).await;
                self.ask_for_help().await;
                let question = self.tenure.until_question(self.ports.clock.now());
                Rest::UntilRunEnds(self.until_last_claim().min(question))
            }
        }
    }

    /// Works on bulk operations for a moment, if it has nothing else to do. `true` if something was done.
    async fn works_on_bulk_operations(&self) -> bool {
        if self.dispatcher.running() > 0 {
            return false;
        }
        let ends = self.ports.clock.now().saturating_add(LOOK_AGAIN).min(self.last_claim);
        match self.dispatcher.bulk().work_until(ends).await {
            Ok(worked) => worked.slices > 0,
            Err(error) => {
                warn!(%error, "a bulk operation cannot go on; the ticker will try again");
                false
            }
        }
    }

    fn until_last_claim(&self) -> Duration {
        self.last_claim.since(self.ports.clock.now())
    }

    /// The process that woke this one may have made more Tasks ready than one process can hold.
    async fn ask_for_help(&mut self) {
        let now = self.ports.clock.now();
        if now >= self.asks_for_help_from {
            self.asks_for_help_from = now.saturating_add(LOOK_AGAIN);
            wake_another(self.ports).await;
        }
    }

    /// How long to wait until the next look, when one of the Tasks that the shift was woken for still waits, though the
    /// queue does not show it or it is not due by this process's clock.
    async fn wait_for_hidden(&self) -> Option<Duration> {
        let due = match self.dispatcher.first_due(&self.woken_for).await {
            Ok(due) => due?,
            Err(error) => {
                warn!(%error, "could not read the tasks that woke this dispatcher; the ticker will find them");
                return None;
            }
        };
        let now = self.ports.clock.now();
        let next = due.max(now.saturating_add(LOOK_FOR_HIDDEN));
        (next <= self.waits_for_hidden_until).then(|| next.since(now))
    }
}

async fn wake_another(ports: &Ports) {
    if let Err(error) = ports.wakeups.wake(Wakeup::NOW).await {
        warn!(%error, "no wake-up was sent; the ticker will find the remaining tasks");
    }
}
