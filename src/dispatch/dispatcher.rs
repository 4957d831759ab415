//! Claims due Tasks in order and runs them, as many at once as there are slots.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, info_span, warn};

use super::{Acquired, Ended, FunctionDirectory, Runner, Slot, Slots, new_run, tell_of};
use crate::{
    model::{Function, FunctionName, Lane, ObjectId, TaskError, TaskErrorKind, TaskStatus, TimeLimit, Timestamp},
    ports::Ports,
    store::{Candidate, QueueLane, SlotScope, Store, StoreError, TaskRecord},
};

/// How many heads of the queue are read at once: some may be taken by others, or wait for their Function's own limit.
const HEADS: usize = 16;

/// How many Tasks are made ready at once.
const PROMOTED: usize = 100;

/// How often heads are read again when others took all of them. The index lags behind the rows, so the same heads may
/// come back for a moment.
const LOST_ROUNDS: usize = 3;

/// How long to wait before looking again at a queue that could not be read, or whose heads were all taken.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a dispatcher that runs until it is stopped goes without a look at the queue. A process that makes a Task ready wakes
/// it; but a write whose answer was lost may have made one ready that nobody knows of.
const LOOK_AGAIN: Duration = Duration::from_secs(4);

/// Claims and runs Tasks. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    store: Store,
    ports: Ports,
    slots: Arc<Slots>,
    functions: Arc<FunctionDirectory>,
    runner: Runner,
    running: TaskTracker,
    most_runs: usize,
}

/// What came of a look at the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Tasks were claimed and are running.
    Started,
    /// No due Task can run now.
    Nothing,
    /// Every slot is in use: look again when one is free.
    Full,
    /// As many runs are in progress here as this process can hold: look again when one has ended.
    NoRoom,
    /// Others took everything that was seen: look again in a moment.
    Contended,
}

/// What came of a look at the heads of the queue.
struct Look<'a> {
    /// What is to be claimed, in order.
    chosen: Vec<Chosen<'a>>,
    /// The lanes of which nothing can run now.
    held: Vec<QueueLane>,
    /// Whether something was moved elsewhere.
    moved: bool,
    /// What the next one was not chosen for want of.
    stopped: Option<Claimed>,
}

/// A Task to be claimed.
enum Chosen<'a> {
    /// It will run, in this slot.
    Runnable { head: &'a Candidate, function: Arc<Function>, slot: Slot },
    /// Its Function is gone: it will fail.
    Orphan(&'a Candidate),
}

/// What became of a claim.
enum Claim {
    /// The Task is running.
    Running,
    /// The Task has failed without running.
    Ended,
    /// Somebody else has it; its slot, if it had one, is free again.
    Lost,
}

impl Dispatcher {
    /// Claims for the holder of `slots`.
    pub fn new(store: Store, ports: Ports, slots: Arc<Slots>, functions: Arc<FunctionDirectory>) -> Self {
        let runner = Runner::new(store.clone(), ports.clone());
        Self { store, ports, slots, functions, runner, running: TaskTracker::new(), most_runs: usize::MAX }
    }

    /// Has at most this many runs in progress at once, however many slots are free: what one process can hold, and what is
    /// lost when it dies.
    #[must_use]
    pub fn holding_at_most(self, runs: usize) -> Self {
        Self { most_runs: runs.max(1), ..self }
    }

    /// Makes Tasks ready whose time has come. A local ticker does this by itself, to the millisecond; the one on AWS comes
    /// each minute, and the wake-ups that are delayed to a Task's start reach a dispatcher.
    pub async fn promote_due(&self) -> Result<(), StoreError> {
        while self.store.tasks.promote_due(self.ports.clock.now(), PROMOTED).await?.moved == PROMOTED {}
        Ok(())
    }

    /// Claims until nothing more can be started now; never answers [`Claimed::Started`]. `slot_freed` is told whenever
    /// a run has ended.
    pub async fn claim_all(&self, slot_freed: &Arc<Notify>) -> Result<Claimed, StoreError> {
        loop {
            match self.claim_next(slot_freed).await? {
                Claimed::Started => {}
                done @ (Claimed::Nothing | Claimed::Full | Claimed::NoRoom | Claimed::Contended) => return Ok(done),
            }
        }
    }

    /// Claims whenever `woken` says that there may be work, and every few seconds in case nobody said so, until `stop`;
    /// then waits for the runs in progress.
    pub async fn run_until(&self, stop: &CancellationToken, woken: &Arc<Notify>) {
        while !stop.is_cancelled() {
            // Registered before the look at the queue, so that a wake-up in between is not missed.
            let wake_up = woken.notified();
            let look_again = match self.claim_all(woken).await {
                Ok(Claimed::Contended) => PAUSE,
                Ok(Claimed::Started | Claimed::Nothing | Claimed::Full | Claimed::NoRoom) => LOOK_AGAIN,
                Err(error) => {
                    warn!(%error, "the queue could not be read; trying again");
                    PAUSE
                }
            };
            tokio::select! {
                biased;
                () = wake_up => {}
                () = self.ports.clock.sleep(look_again) => {}
                () = stop.cancelled() => {}
            }
        }
        self.drain().await;
    }

    /// Waits until every run that was started here has ended.
    pub async fn drain(&self) {
        self.running.close();
        self.running.wait().await;
        self.running.reopen();
    }

    /// How many runs are in progress here.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// When the first of these Tasks is due, of those that nobody has claimed or canceled. Read from the rows: the queue
    /// may not show a fresh Task yet.
    pub(super) async fn first_due(&self, tasks: &[ObjectId]) -> Result<Option<Timestamp>, StoreError> {
        let mut first = None;
        for id in tasks {
            let record = self.store.tasks.get(*id).await?;
            let new = record.map(|record| record.task).filter(|task| task.status == TaskStatus::New);
            first = first.into_iter().chain(new.map(|task| task.start_timestamp)).min();
        }
        Ok(first)
    }

    /// Claims the best due Tasks that can run, as many as one look at the queue shows and slots are free, and runs them in
    /// the background.
    ///
    /// They are asked for in their order and at once: one after the other, each would wait for the answer to the one
    /// before, and many slots would stand empty.
    pub async fn claim_next(&self, slot_freed: &Arc<Notify>) -> Result<Claimed, StoreError> {
        if self.running() >= self.most_runs {
            return Ok(Claimed::NoRoom);
        }
        let mut lanes = self.functions.lanes().await?;
        let mut seen = Some(lanes.clone());
        let mut lost_rounds = 0;
        loop {
            let heads = self.store.tasks.heads(&lanes, HEADS).await?;
            if heads.is_empty() {
                // Nobody may come back to look: what this was woken for may stand in a lane that is younger than what is
                // remembered of them.
                let Some(seen) = seen.take() else { return Ok(Claimed::Nothing) };
                lanes = self.functions.lanes_now().await?;
                lanes.retain(|lane| !seen.contains(lane));
                if lanes.is_empty() {
                    return Ok(Claimed::Nothing);
                }
                continue;
            }
            let look = self.look_at(&heads).await?;
            lanes.retain(|lane| !look.held.contains(lane));
            let nothing_chosen = look.chosen.is_empty();
            let claims = look.chosen.into_iter().map(|chosen| self.claim(chosen, slot_freed));
            let mut failure = None;
            let (mut started, mut moved) = (false, look.moved);
            // All of them, whatever becomes of some: one that was claimed has to run.
            for claimed in join_all(claims).await {
                match claimed {
                    Ok(Claim::Running) => started = true,
                    Ok(Claim::Ended) => moved = true,
                    Ok(Claim::Lost) => {}
                    Err(error) => failure = Some(error),
                }
            }
            debug_assert!(self.running() <= self.most_runs, "more runs than this process holds");
            if let Some(error) = failure {
                return Err(error);
            }
            if started {
                return Ok(Claimed::Started);
            }
            if let Some(stopped) = look.stopped.filter(|_| nothing_chosen && !moved) {
                return Ok(stopped);
            }
            lost_rounds = if !moved && look.held.is_empty() { lost_rounds + 1 } else { 0 };
            if lost_rounds == LOST_ROUNDS {
                return Ok(Claimed::Contended);
            }
        }
    }

    /// Chooses among the heads of the queue, in their order, until there is no slot or no room for the next one. A slot is
    /// asked for only where there is a Task to run in it: asking costs writes.
    async fn look_at<'a>(&self, heads: &'a [Candidate]) -> Result<Look<'a>, StoreError> {
        let mut look = Look { chosen: Vec::new(), held: Vec::new(), moved: false, stopped: None };
        let mut room = self.most_runs.saturating_sub(self.running());
        let mut functions: HashMap<&FunctionName, Option<Arc<Function>>> = HashMap::new();
        for head in heads {
            if look.held.contains(&head.lane) {
                continue;
            }
            let function = match functions.get(&head.function) {
                Some(function) => function.clone(),
                // Read after the heads, so what holds a Function back by then holds its Tasks back.
                None => {
                    let function = self.functions.read(&head.function).await?;
                    functions.entry(&head.function).or_insert(function).clone()
                }
            };
            let Some(function) = function else {
                // In its turn: to claim it now would be to pass over what was chosen before.
                look.chosen.push(Chosen::Orphan(head));
                continue;
            };
            let apart = !function.enabled || function.lane == Lane::Own;
            if apart && head.lane == QueueLane::Shared {
                // Queued before its Function could be held back: there it would stand in front of the others.
                look.moved |= self.store.tasks.move_to_own_lane(head).await?;
                continue;
            }
            if !function.enabled {
                look.held.push(head.lane.clone());
                continue;
            }
            if room == 0 {
                look.stopped = Some(Claimed::NoRoom);
                break;
            }
            match self.slots.acquire_queued(&function).await? {
                Acquired::Granted(slot) => {
                    room -= 1;
                    look.chosen.push(Chosen::Runnable { head, function, slot });
                }
                Acquired::Full(SlotScope::Function(_)) => look.held.push(head.lane.clone()),
                Acquired::Full(SlotScope::Tasks | SlotScope::Direct) => {
                    look.stopped = Some(Claimed::Full);
                    break;
                }
            }
        }
        Ok(look)
    }

    /// Claims a Task, and runs it if it can run.
    async fn claim(&self, chosen: Chosen<'_>, slot_freed: &Arc<Notify>) -> Result<Claim, StoreError> {
        let (head, function, slot) = match chosen {
            Chosen::Runnable { head, function, slot } => (head, function, slot),
            Chosen::Orphan(head) => return self.end_orphan(head).await,
        };
        let run = new_run(&self.ports, self.slots.holder(), function.time_limit());
        Ok(match self.store.tasks.claim(head, &run, run.started).await? {
            Some(record) => {
                self.start(record, function, slot, Arc::clone(slot_freed));
                Claim::Running
            }
            None => Claim::Lost,
        })
    }

    /// Fails a Task whose Function is gone: only a claimed Task can fail (contract §4).
    async fn end_orphan(&self, head: &Candidate) -> Result<Claim, StoreError> {
        let run = new_run(&self.ports, self.slots.holder(), TimeLimit::default());
        let Some(record) = self.store.tasks.claim(head, &run, run.started).await? else {
            return Ok(Claim::Lost);
        };
        let error = TaskError {
            kind: TaskErrorKind::Invocation,
            name: "ResourceNotFoundException".to_owned(),
            message: format!("The Function '{}' was deleted before the Task ran.", head.function),
        };
        self.runner.fail_unrun(record.task, &run, error).await;
        Ok(Claim::Ended)
    }

    fn start(&self, record: TaskRecord, function: Arc<Function>, slot: Slot, slot_freed: Arc<Notify>) {
        let Some(run) = record.run else {
            // A claimed row carries its run; one that does not is left to its lease.
            warn!(task = %record.task.id, "a claimed task came back without its run");
            return;
        };
        let this = self.clone();
        let span = info_span!("run", task = %record.task.id, function = %function.name);
        let (id, late) = (record.task.id, run.started.since(record.task.start_timestamp));
        let work = async move {
            let ended = this.runner.run_queued(record.task, &function, &run, record.queue).await;
            let took = this.ports.clock.now().since(run.started);
            tell_of(id, &function.name, &ended, Some(late), took);
            if let Ended::Unknown(why) = ended {
                warn!(why, "the outcome of a run is unknown; its task is cleaned up when its lease ends");
                // The code may still be running: until it cannot, its slot is taken.
                let left = run.lease_expires.since(this.ports.clock.now());
                this.ports.clock.sleep(left).await;
            }
            drop(slot);
            slot_freed.notify_one();
        };
        self.running.spawn(work.instrument(span));
    }
}
