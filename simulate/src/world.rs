//! The state that all processes of a run share: time, chance, the database, Lambda, the wire.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tasklane_model::{ObjectId, Timestamp};
use tasklane_ports::{Clock, PortFuture};
use tokio::time::Instant;

use crate::{
    chance::Rng,
    cloud::Cloud,
    journal::{Journal, LifeId, Line},
    live::Live,
    plan::{Faults, Plan},
    planted::Seams,
    time,
};

/// A response of an index: its time, the number of the latest write, and the response.
type IndexAnswer = (i64, u64, Vec<u8>);

/// The state that all processes of a run share.
pub struct World {
    pub plan: Plan,
    /// The planted bug.
    pub seams: &'static dyn Seams,
    pub cloud: Mutex<Cloud>,
    /// The last responses of indexes.
    pub index_answers: Mutex<BTreeMap<String, IndexAnswer>>,
    journal: Mutex<Journal>,
    live: Mutex<Live>,
    rng: Mutex<Rng>,
    calm: AtomicBool,
    calm_since: Mutex<Option<i64>>,
    started: Instant,
}

impl World {
    /// A world at its start, without faults.
    pub fn new(plan: Plan, seams: &'static dyn Seams) -> Arc<Self> {
        let rng = Rng::new(plan.seed.wrapping_mul(31).wrapping_add(7));
        Arc::new(Self {
            plan,
            seams,
            cloud: Mutex::default(),
            index_answers: Mutex::default(),
            journal: Mutex::default(),
            live: Mutex::default(),
            rng: Mutex::new(rng),
            calm: AtomicBool::new(true),
            calm_since: Mutex::default(),
            started: Instant::now(),
        })
    }

    /// Milliseconds since the start.
    pub fn elapsed(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether callers make no further calls.
    pub fn load_is_over(&self) -> bool {
        self.elapsed() > i64::try_from(self.plan.load.as_millis()).unwrap_or(i64::MAX)
    }

    /// The time of a correct clock.
    pub fn now(&self) -> Timestamp {
        time::timestamp(self.elapsed())
    }

    /// Whether there are no faults now.
    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    /// Starts or stops the faults.
    pub fn set_calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::SeqCst);
        *self.calm_since.lock().unwrap_or_else(PoisonError::into_inner) = calm.then(|| self.elapsed());
        self.note(None, None, if calm { "calm from here" } else { "faults from here" });
    }

    /// When the faults ended, in milliseconds since the start.
    pub fn calm_since(&self) -> Option<i64> {
        *self.calm_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides whether this fault happens now.
    pub fn befalls(&self, fault: impl FnOnce(&Faults) -> u64) -> bool {
        !self.is_calm() && self.draw(|rng| rng.odds(fault(&self.plan.faults)))
    }

    /// Draws random numbers.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What has happened so far.
    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        taken(&self.journal)
    }

    /// The free slots and the dispatchers at work.
    pub fn live(&self) -> MutexGuard<'_, Live> {
        taken(&self.live)
    }

    /// Adds a line to the trace.
    pub fn note(&self, by: Option<LifeId>, task: Option<ObjectId>, what: impl Into<String>) {
        let line = Line { at: self.elapsed(), by, task, what: what.into() };
        self.journal().note(line);
    }

    /// Records that a Task's row was deleted before it ran.
    pub fn withdrawn(&self, by: LifeId, task: ObjectId) {
        let cloud = self.cloud.lock().unwrap_or_else(PoisonError::into_inner);
        let was_invoked = cloud.runs.iter().any(|run| run.task == task);
        drop(cloud);
        self.journal().saw_withdrawal(self.elapsed(), by, task, was_invoked);
    }

    /// Records a broken promise.
    pub fn violated(&self, tasks: impl Into<Vec<ObjectId>>, what: impl Into<String>) {
        self.journal().violated(self.elapsed(), tasks, what);
    }
}

/// Locks without waiting. A world has one thread, so a lock that is already taken would never be released.
fn taken<T>(of_world: &Mutex<T>) -> MutexGuard<'_, T> {
    match of_world.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => panic!("a check locks what it has locked already"),
    }
}

/// A correct clock.
pub struct TrueClock(pub Arc<World>);

impl Clock for TrueClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep<'a>(&'a self, duration: Duration) -> PortFuture<'a, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
