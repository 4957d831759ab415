//! One process from its start to its death. After its death, nothing that it awaits ever happens.
//!
//! A process affects the world only through its ports and its connection to the database. So to die means that none of
//! its calls ever returns: whatever it would have done after the await at which it died never happens, and nothing ever
//! reads its memory again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use tasklane_model::Timestamp;
use tasklane_ports::{Clock, PortFuture};
use tokio::{sync::Notify, time::Instant};

use crate::{
    journal::{LifeId, Trouble},
    plan::Shape,
    world::World,
};

/// One life of a process.
pub struct Life {
    pub id: LifeId,
    pub world: Arc<World>,
    /// Notified when it ends.
    pub died: Notify,
    /// When it last read each partition of the shared ready lane, as the number of the latest write.
    pub heads: Mutex<BTreeMap<String, u64>>,
    /// When its dispatcher last read a ready lane, in milliseconds since the start.
    pub looked: AtomicI64,
    /// The length of the chain of wake-ups that led to its dispatcher's current work. Each of them was sent by the
    /// dispatcher that the previous one had woken.
    pub hops: AtomicU32,
    skew: i64,
    alive: AtomicBool,
    frozen_until: Mutex<Option<Instant>>,
}

impl Life {
    pub fn new(id: LifeId, world: Arc<World>) -> Arc<Self> {
        let skew = world.plan.skews.get(id.process).copied().unwrap_or(0);
        let now = world.elapsed();
        world.live().lives.insert(id, now);
        Arc::new(Self {
            id,
            world,
            died: Notify::new(),
            heads: Mutex::default(),
            looked: AtomicI64::new(0),
            hops: AtomicU32::new(0),
            skew,
            alive: AtomicBool::new(true),
            frozen_until: Mutex::default(),
        })
    }

    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::SeqCst)
    }

    /// Ends it.
    pub fn die(&self, why: &str) {
        if !self.alive.swap(false, Ordering::SeqCst) {
            return;
        }
        self.world.note(Some(self.id), None, format!("dies {why}"));
        self.world.live().lives.remove(&self.id);
        self.trouble(Duration::ZERO);
        if self.world.plan.shape == Shape::Machine {
            // Its Functions are its child processes.
            let at = self.world.elapsed();
            self.world.cloud.lock().unwrap_or_else(PoisonError::into_inner).kill(self.id, at);
        }
        self.died.notify_one();
    }

    /// Freezes it for a while.
    pub fn freeze(&self, duration: Duration) {
        self.world.note(Some(self.id), None, format!("freezes for {} ms", duration.as_millis()));
        self.trouble(duration);
        *self.frozen_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + duration);
    }

    fn has_runs(&self) -> bool {
        let cloud = self.world.cloud.lock().unwrap_or_else(PoisonError::into_inner);
        cloud.in_flight().any(|run| run.by == self.id)
    }

    /// Records something that happens to it for this long and that explains a run without an outcome.
    pub fn trouble(&self, takes: Duration) {
        let at = self.world.elapsed();
        let until = at + i64::try_from(takes.as_millis()).unwrap_or(0);
        let trouble = Trouble { at, until, life: self.id };
        self.world.journal().troubles.push(trouble);
    }

    /// Returns while it is alive and not frozen; never returns once it is dead.
    pub async fn pass(&self) {
        loop {
            if !self.is_alive() {
                std::future::pending::<()>().await;
            }
            let until = *self.frozen_until.lock().unwrap_or_else(PoisonError::into_inner);
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// A point at which it may die but does not freeze. No check can exclude a freeze between the last look at a lease
    /// and the request that depends on it, so the simulation has none there.
    pub async fn may_die_but_not_freeze(&self, at: &str) {
        if self.is_alive() && self.world.befalls(|faults| faults.crash_at_await) {
            self.die(at);
        }
        if !self.is_alive() {
            std::future::pending::<()>().await;
        }
    }

    /// A point at which it may die.
    pub async fn may_die(&self, at: &str) {
        self.pass().await;
        if self.world.befalls(|faults| faults.crash_at_await) {
            self.die(at);
            std::future::pending::<()>().await;
        }
    }
}

impl Clock for Life {
    fn now(&self) -> Timestamp {
        Timestamp::saturating_from_millis(self.world.now().as_millis() + self.skew)
    }

    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()> {
        Box::pin(async move {
            tokio::time::sleep(self.world.seams.sleep(duration, &|| self.has_runs())).await;
            self.may_die("in its sleep").await;
        })
    }
}
