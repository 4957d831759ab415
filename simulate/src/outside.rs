//! The other ports: wake-ups, events, and those that no promise depends on.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use tasklane_auth::{Sealed, SecretBox};
use tasklane_model::ObjectId;
use tasklane_ports::{Events, PortError, PortFuture, TaskEvent, Wakeup, Wakeups};
pub use tasklane_testing::NoLogs;
use tokio::sync::oneshot;

use crate::{
    life::Life,
    live::{Delivery, Shift},
    world::World,
};

// --- Wake-ups -------------------------------------------------------------------------------------------------------

/// A wake-up on its way.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// The Task that it is sent for.
    pub task: Option<ObjectId>,
    /// The number of wake-ups in the chain that led to it.
    pub hops: u32,
}

/// A shift may end this many milliseconds after its last look at the queue: it returns its slots first.
const LAST_LOOK: i64 = 1500;

/// A dispatcher that waits for a message, and the channel on which it gets one.
type IdleDispatcher = (Arc<Life>, oneshot::Sender<Message>);

/// A queue that behaves like SQS: it delivers each message at least once, sometimes late, to any idle process, while
/// fewer dispatchers than the maximum are at work.
#[derive(Clone)]
pub struct WakeupQueue {
    world: Arc<World>,
    /// The idle dispatchers, at most one of each process.
    idle: Arc<Mutex<Vec<IdleDispatcher>>>,
}

impl WakeupQueue {
    pub fn new(world: Arc<World>) -> Self {
        Self { world, idle: Arc::default() }
    }

    pub async fn receive(&self, life: &Arc<Life>) -> Message {
        let (hand, message) = oneshot::channel();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((Arc::clone(life), hand));
        let Ok(message) = message.await else { return std::future::pending().await };
        life.pass().await;
        message
    }

    /// Ends the shift of this process.
    pub fn done(&self, life: &Life) {
        self.world.note(Some(life.id), None, "its shift ends");
        let at = self.world.elapsed();
        let live = &mut *self.world.live();
        let began = live.shifts.remove(&life.id).map_or(at, |shift| shift.began);
        // What came after its last look is not its to find. The queue delivers that message again.
        let looked = began.max(at - LAST_LOOK);
        live.deliveries.retain(|delivery| delivery.to != Some(life.id) || delivery.at <= looked);
    }

    /// Delivers a message after `delay`.
    pub fn send(&self, message: Message, delay: Duration) {
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            if this.world.seams.drops_wakeup(message.hops) {
                this.world.note(None, message.task, "a wake-up is dropped");
                let at = this.world.elapsed();
                this.world.live().deliveries.push(Delivery { at, to: None, task: message.task });
                return;
            }
            if this.deliver(message) {
                return;
            }
            this.leave_to_those_at_work(message);
            // A message that no idle dispatcher took is delivered again.
            while !this.deliver(message) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }

    /// If the maximum number of dispatchers is at work, one of them must find the message's Task.
    fn leave_to_those_at_work(&self, message: Message) {
        let at = self.world.elapsed();
        let live = &mut *self.world.live();
        if live.shifts.len() >= self.world.plan.dispatchers {
            // One that drains finds nothing.
            let looking = live.shifts.iter().filter(|(_, shift)| !shift.drains(at));
            let found = looking.map(|(life, _)| Delivery { at, to: Some(*life), task: message.task });
            live.deliveries.extend(found.collect::<Vec<_>>());
        }
    }

    fn deliver(&self, message: Message) -> bool {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(life, _)| life.is_alive());
        let live = &mut *self.world.live();
        live.shifts.retain(|life, _| live.lives.contains_key(life));
        if idle.is_empty() || live.shifts.len() >= self.world.plan.dispatchers {
            return false;
        }
        let index = self.world.draw(|rng| rng.below(idle.len() as u64));
        let (life, hand) = idle.swap_remove(usize::try_from(index).unwrap_or(0));
        let at = self.world.elapsed();
        let last_claim = at + i64::try_from(self.world.plan.claims_for.as_millis()).unwrap_or(0);
        live.shifts.insert(life.id, Shift { began: at, last_claim, drains: false });
        live.deliveries.push(Delivery { at, to: Some(life.id), task: message.task });
        self.world.note(Some(life.id), message.task, "is woken");
        // The receiver cannot be gone: its dispatcher is alive.
        let _ = hand.send(message);
        true
    }
}

/// The queue, as one process sends to it.
pub struct WakeupsPort {
    pub queue: WakeupQueue,
    pub life: Arc<Life>,
    /// Whether its dispatcher sends, so that these wake-ups continue the chain of the one that woke it.
    pub continues: bool,
}

impl Wakeups for WakeupsPort {
    fn wake<'a>(&'a self, wakeup: Wakeup) -> PortFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            let world = &self.life.world;
            let Wakeup { delay, task } = wakeup;
            let hops = if self.continues { self.life.hops.load(Ordering::SeqCst) + 1 } else { 1 };
            let message = Message { task, hops };
            self.life.may_die("before a wake-up").await;
            if delay > Duration::from_secs(900) {
                return Ok(());
            }
            if world.befalls(|faults| faults.wake_refused) {
                return Err(PortError::new("wake a dispatcher", "simulated"));
            }
            // SQS's delays are in whole seconds.
            let mut delay = Duration::from_secs(delay.as_millis().div_ceil(1000) as u64);
            if world.befalls(|faults| faults.wake_late) {
                delay += Duration::from_millis(world.draw(|rng| rng.below(20_000)));
            }
            if world.befalls(|faults| faults.wake_lost) {
                world.note(Some(self.life.id), None, "a wake-up is lost");
            } else {
                self.queue.send(message, delay + Duration::from_millis(world.draw(|rng| rng.below(30))));
            }
            if world.befalls(|faults| faults.wake_doubled) {
                self.queue.send(message, delay + Duration::from_millis(world.draw(|rng| rng.below(3000))));
            }
            self.life.may_die("after a wake-up").await;
            Ok(())
        })
    }
}

// --- Events ---------------------------------------------------------------------------------------------------------

/// The event bus, as one process publishes on it.
pub struct EventsPort {
    pub life: Arc<Life>,
}

impl EventsPort {
    async fn put(&self, event: &TaskEvent) -> Result<(), PortError> {
        let world = &self.life.world;
        self.life.may_die("before an event").await;
        tokio::time::sleep(Duration::from_millis(world.draw(|rng| rng.below(20)))).await;
        self.life.may_die("while an event is sent").await;
        if world.befalls(|faults| faults.event_refused) {
            return Err(PortError::new("publish an event", "refused"));
        }
        world.note(Some(self.life.id), Some(event.id), "its event is published");
        let at = world.elapsed();
        world.journal().events.push((at, event.clone()));
        self.life.may_die("after an event").await;
        if world.befalls(|faults| faults.event_answer_lost) {
            return Err(PortError::new("publish an event", "the acknowledgement was lost"));
        }
        Ok(())
    }
}

impl Events for EventsPort {
    fn publish<'a>(&'a self, event: &'a TaskEvent) -> PortFuture<'a, Result<(), PortError>> {
        if self.life.world.seams.acknowledges_events_early() {
            let (this, event) = (Self { life: Arc::clone(&self.life) }, event.clone());
            return Box::pin(async move {
                tokio::spawn(async move { this.put(&event).await });
                Ok(())
            });
        }
        Box::pin(self.put(event))
    }
}

// --- Ports that no promise depends on -------------------------------------------------------------------------------

/// Seals nothing: the simulation creates no credentials.
pub struct NoSecrets;

impl SecretBox for NoSecrets {
    fn seal<'a>(&'a self, _: &'a [u8], _: &'a str) -> PortFuture<'a, Result<Sealed, PortError>> {
        Box::pin(async { Err(PortError::new("seal a secret", "the simulation has none")) })
    }

    fn open<'a>(&'a self, _: &'a Sealed, _: &'a str) -> PortFuture<'a, Result<Vec<u8>, PortError>> {
        Box::pin(async { Err(PortError::new("open a secret", "the simulation has none")) })
    }
}
