//! Claims due Tasks in order and runs them, as many at once as there are slots.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, future::join_all, stream};
use tasklane_model::{FlowKey, Function, ObjectId, TaskError, TaskErrorKind, TaskStatus, TimeLimit, Timestamp};
use tasklane_ports::Ports;
use tasklane_runtime::backoff::Backoff;
use tasklane_store::{
    Candidate, ClaimOutcome, DueGate, RegisteredRun, Run, ScheduleRecord, Shifts, Store, StoreError, TaskRecord,
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, info_span, warn};

use super::{
    BulkWorker, EndOfRun, Ended, FunctionDirectory, Runner, Slot, Slots, end_in_register, expire,
    flow::{GATES_AT_ONCE, Gatekeeper},
    judge,
    look::{Chosen, Eyes, Lacking, Look, Search},
    new_run,
    occurrences::{MISSED_AFTER, create_due, first_due},
    release,
    run::{CLAIM_PATIENCE, FIRST_PAUSE, LONGEST_PAUSE},
    taken::Taken,
    tell_of,
};

/// How many Tasks are made ready at once.
const PROMOTED: usize = 100;

/// How many gates are looked at before the queue is.
const GATES: usize = 16;

/// How many due Schedules are worked on before the queue is looked at again.
const DUE_AT_ONCE: usize = 100;

/// How many Schedules are worked on at once.
const CREATED_AT_ONCE: usize = 16;

/// How long a dispatcher creates Tasks of one Schedule before it looks at the queue again.
const LONGEST_CREATION: Duration = Duration::from_secs(1);

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
    /// A token for each run.
    running: TaskTracker,
    /// What runs here, and what is to be done after a run.
    at_work: TaskTracker,
    taken: Arc<Taken>,
    most_runs: usize,
    bulk: BulkWorker,
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

/// What became of a claim.
enum Claim {
    /// The Task is running.
    Running,
    /// The Task has failed without running.
    Ended,
    /// Somebody else has it; its slot, if it had one, is free again.
    Lost,
}

/// A run that is about to start.
struct Start {
    run: Run,
    registered: RegisteredRun,
}

/// What became of the claims of one look.
#[derive(Default)]
struct Claims {
    /// A Task is running.
    started: bool,
    /// A Task has failed without running.
    ended: bool,
}

impl Dispatcher {
    /// Claims for the holder of `slots`.
    pub fn new(store: Store, ports: Ports, slots: Arc<Slots>, functions: Arc<FunctionDirectory>) -> Self {
        let runner = Runner::new(store.clone(), ports.clone());
        let taken = Arc::new(Taken::new(Arc::clone(&ports.clock)));
        let bulk = BulkWorker::new(store.clone(), ports.clone(), Arc::clone(&functions));
        Self {
            store,
            ports,
            slots,
            functions,
            runner,
            running: TaskTracker::new(),
            at_work: TaskTracker::new(),
            taken,
            most_runs: usize::MAX,
            bulk,
        }
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

    /// Looks at the gates of flow keys whose time has come, so that a Task starts when the rate of its key allows it. A local
    /// ticker does this by itself.
    pub async fn look_at_gates(&self) -> Result<(), StoreError> {
        // Only Functions with lanes of their own have gates.
        if self.functions.lanes().await?.len() == 1 {
            return Ok(());
        }
        let keeper = &Gatekeeper { store: &self.store, ports: &self.ports };
        let look = |due: DueGate| async move {
            let function = self.functions.find(&due.function).await?;
            if let Err(error) = keeper.look(function.as_deref(), &due).await {
                warn!(function = %due.function, %error, "a gate is left to the ticker");
            }
            Ok::<_, StoreError>(())
        };
        let due = self.store.gates.due(self.ports.clock.now(), GATES).await?;
        let mut looks = stream::iter(due.into_iter().map(look)).buffer_unordered(GATES_AT_ONCE);
        while looks.try_next().await?.is_some() {}
        Ok(())
    }

    /// Begins to create the Tasks of occurrences that are due; `created` is told if there are any. Neither a slow Schedule nor
    /// one that fails may keep Tasks from being claimed. Returns how many were created.
    pub(super) fn begin_due_occurrences(&self, created: Arc<Notify>) -> JoinHandle<usize> {
        let this = self.clone();
        self.at_work.spawn(async move {
            let count = this.create_due_occurrences().await;
            if count > 0 {
                created.notify_one();
            }
            count
        })
    }

    /// What fails is left to the ticker.
    async fn create_due_occurrences(&self) -> usize {
        let now = self.ports.clock.now();
        let (missed_before, ends) = (now.saturating_sub(MISSED_AFTER), now.saturating_add(LONGEST_CREATION));
        let create = |record: ScheduleRecord| async move {
            let function = self.functions.read(&record.schedule.function_name).await?;
            create_due(&self.store, &self.ports, function.as_deref(), record, missed_before, ends).await
        };
        let mut from = Some(first_due(&self.store, &self.ports));
        let (mut count, mut left) = (0, DUE_AT_ONCE);
        while let Some(position) = from.take_if(|_| left > 0 && self.ports.clock.now() < ends) {
            let due = match self.store.schedules.due(now, &position, left).await {
                Ok(due) => due,
                Err(error) => {
                    warn!(%error, "the due schedules could not be read; the ticker will find them");
                    break;
                }
            };
            left = left.saturating_sub(due.schedules.len());
            from = due.next;
            let mut schedules = stream::iter(due.schedules).map(create).buffer_unordered(CREATED_AT_ONCE);
            while let Some(created) = schedules.next().await {
                match created {
                    Ok(created) => count += created,
                    Err(error) => warn!(%error, "an occurrence of a schedule is left to the ticker"),
                }
            }
        }
        count
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

    /// Waits until every run that was started here has ended, and what follows from its end is done.
    pub async fn drain(&self) {
        self.at_work.close();
        self.at_work.wait().await;
        self.at_work.reopen();
    }

    /// The register of the shifts that have lasted long.
    pub(super) fn shifts(&self) -> &Shifts {
        &self.store.shifts
    }

    /// Works on bulk operations.
    pub(super) fn bulk(&self) -> &BulkWorker {
        &self.bulk
    }

    /// How many runs are in progress here.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// How many runs are in progress here, or have ended while something is still to be done after them.
    pub fn at_work(&self) -> usize {
        self.at_work.len()
    }

    /// When the first of these Tasks is due, of those that nobody has claimed or canceled. Read from the rows: the queue
    /// may not show a fresh Task yet.
    pub(super) async fn first_due(&self, tasks: &[ObjectId]) -> Result<Option<Timestamp>, StoreError> {
        let mut first = None;
        for id in tasks {
            let record = self.store.tasks.get(*id).await?;
            // One that waits for its key is admitted when another one of it ends.
            let record = record.filter(|record| record.task.status == TaskStatus::New && !record.is_held);
            let new = record.map(|record| record.task);
            first = first.into_iter().chain(new.map(|task| task.start_timestamp)).min();
        }
        Ok(first)
    }

    /// Claims the best due Tasks that can run, as many as one look at the queue shows and slots are free, and runs them in
    /// the background.
    pub async fn claim_next(&self, slot_freed: &Arc<Notify>) -> Result<Claimed, StoreError> {
        if self.room() == 0 {
            return Ok(Claimed::NoRoom);
        }
        // Which shard a look begins with matters only if it does not read all of them.
        let first_shard = self.ports.chance.byte();
        let mut search = Search::begin(&self.store, &self.functions, &self.taken, first_shard).await?;
        loop {
            let heads = search.heads().await?;
            if heads.is_empty() {
                return Ok(Claimed::Nothing);
            }
            let eyes = Eyes {
                store: &self.store,
                ports: &self.ports,
                functions: &self.functions,
                slots: &self.slots,
                taken: &self.taken,
            };
            let Look { chosen, held, moved, lacking } = Look::at(&heads, self.room(), eyes).await?;
            search.leave_out(&held);
            let lacking = lacking.filter(|_| chosen.is_empty());
            let claims = self.claim_chosen(chosen, slot_freed).await?;
            if claims.started {
                return Ok(Claimed::Started);
            }
            let moved = moved || claims.ended;
            match lacking {
                Some(Lacking::Slot) if !moved => return Ok(Claimed::Full),
                Some(Lacking::Room) if !moved => return Ok(Claimed::NoRoom),
                _ => {}
            }
            if search.is_contended(!moved && held.is_empty()) {
                return Ok(Claimed::Contended);
            }
        }
    }

    /// How many more runs this process can hold.
    fn room(&self) -> usize {
        self.most_runs.saturating_sub(self.running())
    }

    /// Registers the runs of what was chosen, and claims it, in its order and without waiting for each answer: one after
    /// the other, each claim would wait for the answer to the one before, and many slots would stand empty.
    async fn claim_chosen(&self, chosen: Vec<Chosen<'_>>, slot_freed: &Arc<Notify>) -> Result<Claims, StoreError> {
        let runs: Vec<_> = chosen.iter().map(|chosen| self.new_run(chosen)).collect();
        let ids: Vec<_> = chosen.iter().zip(&runs).map(|(chosen, run)| (chosen.head().id, run)).collect();
        let registered = self.store.runs.register(&ids).await?;
        let starts = runs.into_iter().zip(registered).map(|(run, registered)| Start { run, registered });
        let claims = chosen.into_iter().zip(starts).map(|(chosen, start)| self.claim(chosen, start, slot_freed));
        let claims = join_all(claims).await;
        debug_assert!(self.running() <= self.most_runs, "more runs than this process holds");
        // An error of one claim is told only after all were answered: a Task that was claimed has to run.
        let mut done = Claims::default();
        let (mut lost, all) = (0, claims.len());
        for claim in claims {
            match claim? {
                Claim::Running => done.started = true,
                Claim::Ended => done.ended = true,
                Claim::Lost => lost += 1,
            }
        }
        self.taken.note_lost(lost, all);
        Ok(done)
    }

    fn new_run(&self, chosen: &Chosen<'_>) -> Run {
        match chosen {
            Chosen::Runnable { function, .. } => {
                let run = new_run(&self.ports, self.slots.holder(), function.longest_time_limit());
                let has_canary = function.history.canary.is_some();
                Run { version: (!has_canary).then_some(function.history.current.number), ..run }
            }
            Chosen::Orphan(_) => new_run(&self.ports, self.slots.holder(), TimeLimit::default()),
        }
    }

    /// Claims a Task, and runs it if it can run.
    async fn claim(&self, chosen: Chosen<'_>, start: Start, slot_freed: &Arc<Notify>) -> Result<Claim, StoreError> {
        let Start { run, registered } = start;
        // After an error, the Task may be claimed nevertheless: it stays in the register.
        let claimed = self.insist_on_claim(chosen.head(), &run).await?;
        self.taken.add(chosen.head());
        let record = match claimed {
            ClaimOutcome::Claimed(record) => *record,
            ClaimOutcome::Expired => {
                registered.end();
                let expired = expire(&self.store, &self.ports, &self.functions, chosen.head().id).await?;
                return Ok(if expired { Claim::Ended } else { Claim::Lost });
            }
            ClaimOutcome::Lost => {
                registered.end();
                return Ok(Claim::Lost);
            }
        };
        Ok(match chosen {
            Chosen::Runnable { function, slot, .. } => {
                self.start(record, function, slot, registered, Arc::clone(slot_freed));
                Claim::Running
            }
            Chosen::Orphan(head) => {
                self.end_orphan(head, record, &run, registered).await;
                Claim::Ended
            }
        })
    }

    /// Asks again if a claim has no answer: it may have succeeded, and then nobody else runs the Task. The claim has its
    /// attempt in it, so that it recognizes itself. It is over while the run can still start within its lease.
    async fn insist_on_claim(&self, head: &Candidate, run: &Run) -> Result<ClaimOutcome, StoreError> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let latest = run.started.saturating_add(CLAIM_PATIENCE);
        loop {
            let error = match self.store.tasks.try_claim(head, run, run.started).await {
                Err(error) if error.may_pass() => error,
                answer => return answer,
            };
            let pause = backoff.pause();
            if self.ports.clock.now().saturating_add(pause) >= latest {
                return Err(error);
            }
            warn!(task = %head.id, %error, "there is no answer to a claim; asking again");
            self.ports.clock.sleep(pause).await;
        }
    }

    /// Fails a Task whose Function is gone: only a claimed Task can fail (contract §4).
    async fn end_orphan(&self, head: &Candidate, record: TaskRecord, run: &Run, registered: RegisteredRun) {
        let error = TaskError {
            kind: TaskErrorKind::Invocation,
            name: "ResourceNotFoundException".to_owned(),
            message: format!("The Function '{}' was deleted before the Task ran.", head.function),
        };
        let key = record.flow;
        let ended = self.runner.fail_unrun(record.task, run, error).await;
        end_in_register(registered, &ended);
        self.release(&ended, key).await;
    }

    /// Lets go on what waited for the end of this Task. `true` if another one may be claimed now.
    async fn release(&self, ended: &Ended, key: Option<FlowKey>) -> bool {
        match ended {
            Ended::Complete(task, ()) | Ended::Failed(task, _) => {
                release(&self.store, &self.ports, &self.functions, task, key).await
            }
            Ended::Unknown(_) => false,
        }
    }

    fn start(
        &self,
        record: TaskRecord,
        function: Arc<Function>,
        slot: Slot,
        registered: RegisteredRun,
        slot_freed: Arc<Notify>,
    ) {
        let Some(run) = record.run.clone() else {
            // A claimed row carries its run; one that does not is left to its lease.
            warn!(task = %record.task.id, "a claimed task came back without its run");
            return;
        };
        let this = self.clone();
        let span = info_span!("run", task = %record.task.id, function = %function.name);
        let held = self.running.token();
        let (id, late) = (record.task.id, run.started.since(record.task.start_timestamp));
        let key = record.flow.clone();
        let first = record.task.first_of_chain();
        let work = async move {
            let ended = this.runner.run_queued(record, &function.for_chain(first), &run).await;
            let took = this.ports.clock.now().since(run.started);
            tell_of(id, &function.name, &ended, Some(late), took);
            end_in_register(registered, &ended);
            if let Ended::Unknown(why) = &ended {
                warn!(why, "the outcome of a run is unknown; its task is cleaned up when its lease ends");
                // The code may still be running: until it cannot, its slot is taken.
                let left = run.lease_expires.since(this.ports.clock.now());
                this.ports.clock.sleep(left).await;
            }
            drop(slot);
            // Before anybody is told: a look that still counted this run would find no room, and wait for another one to end.
            drop(held);
            slot_freed.notify_one();
            if this.release(&ended, key).await {
                slot_freed.notify_one();
            }
            if let Some(end) = EndOfRun::of_task(&ended) {
                judge(&this.store, &this.ports, &this.functions, &function, end).await;
            }
        };
        self.at_work.spawn(work.instrument(span));
    }
}
