//! Flow by key (contract §14): sends due Tasks behind the gates of their keys, and lets them pass when it is their turn.
//!
//! A due Task of a Function with a flow is in one of three places of the Function's own lane. A dispatcher takes what is in
//! the *queue*, and either *admits* it or sends it *behind the gate*. It claims only what is admitted, and what has no key.
//! When an admitted Task is claimed, and when one ends, the next one is admitted.
//!
//! The gate is written before the Tasks are moved, and before a Task is claimed, so it never knows of fewer runs than there
//! are. If a process dies in between, the gate knows of a Task that has ended or that is still behind it. Somebody looks at each
//! busy gate twice a minute, and compares it with the rows of its Tasks.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tasklane_model::{Flow, FlowKey, Function, Gate, ObjectId, Task, TaskStatus, Timestamp};
use tasklane_ports::{Ports, Wakeup};
use tasklane_store::{Candidate, DueGate, GateId, Place, QueueLane, ReadGate, ReadyKey, Store, StoreError, TaskRecord};
use tracing::warn;

use super::{FunctionDirectory, taken::Taken};

/// How many Tasks of a queue are sorted at once.
const SORTED: usize = 100;

/// How long a dispatcher sorts before it claims.
const LONGEST_SORT: Duration = Duration::from_millis(300);

/// How many gates are changed at once.
pub(super) const GATES_AT_ONCE: usize = 8;

/// How many Tasks are moved at once.
const MOVED_AT_ONCE: usize = 16;

/// How many Tasks behind a gate are read more than can be admitted: the index shows some that are gone.
const READ_BEYOND: usize = 4;

/// After what time Tasks that were moved behind a gate are noted once more.
const LONGEST_MOVE: Duration = Duration::from_secs(20);

/// How often a gate is passed again because what was admitted has gone.
const ROUNDS: usize = 4;

/// The key of a Task that is about to be claimed, and when it was due.
#[derive(Clone, Debug)]
pub(super) struct Starting {
    /// The Task, where it was admitted.
    pub(super) candidate: Candidate,
    /// Where it goes if it may not start.
    key: ReadyKey,
}

/// What is known about a gate that it does not know yet.
#[derive(Default)]
struct Visit {
    /// Tasks in the queue.
    arrivals: Vec<Candidate>,
    /// Tasks that are about to be claimed.
    starting: Vec<Starting>,
    /// Tasks that need it no longer.
    left: Vec<ObjectId>,
    /// Tasks that were admitted, and are still behind the gate.
    unmoved: Vec<Candidate>,
    /// Whether there are Tasks behind the gate of which it may not know.
    has_held: bool,
}

/// What became of a visit.
#[derive(Debug, Default)]
struct Passed {
    /// The Tasks that may be claimed.
    open: Vec<ObjectId>,
    /// How many Tasks were admitted.
    admitted: usize,
}

/// What became of the queue of a Function.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// How many Tasks have left the queue.
    pub(super) moved: usize,
    /// The Tasks without a key: they may be claimed where they are.
    pub(super) keyless: HashSet<ObjectId>,
}

/// Opens and closes gates.
pub(crate) struct Gatekeeper<'a> {
    pub(crate) store: &'a Store,
    pub(crate) ports: &'a Ports,
}

/// How the gate is after a visit, and which Tasks move.
struct Decision {
    gate: Gate,
    open: Vec<ObjectId>,
    /// To be moved to where they can be claimed.
    admitted: Vec<Candidate>,
    /// To be moved behind the gate, to these positions.
    held: Vec<(Candidate, ReadyKey)>,
}

impl Gatekeeper<'_> {
    /// Sorts the queue of a Function with this flow: nothing in it that has a key is left there.
    pub(super) async fn sort(&self, function: &Function, flow: &Flow, taken: &Taken) -> Result<Sorted, StoreError> {
        let ends = self.ports.clock.now().saturating_add(LONGEST_SORT);
        let mut sorted = Sorted::default();
        loop {
            let mut queued = self.store.tasks.queued_of(&function.name, SORTED).await?;
            let is_cut = queued.len() == SORTED;
            queued.retain(|candidate| !taken.contains(candidate) && !sorted.keyless.contains(&candidate.id));
            let ids: Vec<_> = queued.iter().map(|candidate| candidate.id).collect();
            let records = self.store.tasks.records(&ids).await?;
            let keys: BTreeMap<_, _> =
                records.iter().map(|record| (record.task.id, flow.key_of(&record.task))).collect();
            let mut by_key: BTreeMap<FlowKey, Vec<Candidate>> = BTreeMap::new();
            for candidate in queued {
                match keys.get(&candidate.id) {
                    Some(Some(key)) => by_key.entry(key.clone()).or_default().push(candidate),
                    // The claim says what is wrong with a row that cannot be read.
                    Some(None) | None => drop(sorted.keyless.insert(candidate.id)),
                }
            }
            let before = sorted.moved;
            let visits = by_key.into_iter().map(|(key, arrivals)| async move {
                arrivals.iter().for_each(|candidate| taken.add(candidate));
                let count = arrivals.len();
                self.pass(function, flow, &key, Visit { arrivals, ..Visit::default() }).await?;
                Ok::<_, StoreError>(count)
            });
            let mut visits = stream::iter(visits.collect::<Vec<_>>()).buffer_unordered(GATES_AT_ONCE);
            while let Some(count) = visits.try_next().await? {
                sorted.moved += count;
            }
            if !is_cut || sorted.moved == before || self.ports.clock.now() >= ends {
                return Ok(sorted);
            }
        }
    }

    /// Which of these admitted Tasks of a Function with this flow may be claimed. They have to be, or the gate takes them for
    /// running until somebody looks at it. The others go back behind their gates.
    pub(super) async fn start(
        &self,
        function: &Function,
        flow: &Flow,
        candidates: Vec<Candidate>,
    ) -> Result<HashSet<ObjectId>, StoreError> {
        let ids: Vec<_> = candidates.iter().map(|candidate| candidate.id).collect();
        let records = self.store.tasks.records_without_data(&ids).await?;
        let mut by_key: BTreeMap<FlowKey, Vec<Starting>> = BTreeMap::new();
        for candidate in candidates {
            let Some(TaskRecord { task, flow: Some(key), .. }) =
                records.iter().find(|record| record.task.id == candidate.id)
            else {
                continue;
            };
            if task.status == TaskStatus::New {
                by_key.entry(key.clone()).or_default().push(Starting { candidate, key: position(task) });
            }
        }
        let visits = by_key.into_iter().map(|(key, starting)| async move {
            self.pass(function, flow, &key, Visit { starting, ..Visit::default() }).await
        });
        let mut visits = stream::iter(visits.collect::<Vec<_>>()).buffer_unordered(GATES_AT_ONCE);
        let mut open = HashSet::new();
        while let Some(passed) = visits.try_next().await? {
            open.extend(passed.open);
        }
        Ok(open)
    }

    /// Lets a Task that has ended leave its gate, and admits the next one. Whatever fails is done within a minute, when
    /// somebody looks at the gate. `true` if a Task was admitted.
    pub(crate) async fn leave(&self, functions: &FunctionDirectory, ended: &Task, key: Option<FlowKey>) -> bool {
        let leave = async {
            let Some(function) = functions.find(&ended.function_name).await? else { return Ok(0) };
            let Some(flow) = &function.flow else { return Ok(0) };
            let key = match key {
                Some(key) => Some(key),
                None => self.store.tasks.flow_of(ended.id).await?,
            };
            let Some(key) = key else { return Ok(0) };
            let visit = Visit { left: vec![ended.id], ..Visit::default() };
            self.pass(&function, flow, &key, visit).await.map(|passed| passed.admitted)
        };
        match leave.await {
            Ok(admitted) => admitted > 0,
            Err(error) => {
                let error: StoreError = error;
                warn!(task = %ended.id, %error, "the next task of a key waits until somebody looks at its gate");
                false
            }
        }
    }

    /// Looks at a gate: compares it with the rows of its Tasks, and admits what can be. With the Function as it was just
    /// read, `None` if there is none.
    pub(crate) async fn look(&self, function: Option<&Function>, due: &DueGate) -> Result<usize, StoreError> {
        let Some(read) = self.store.gates.get(&due.function, &due.id).await? else { return Ok(0) };
        let now = self.ports.clock.now();
        let function = function.and_then(|function| Some((function, function.flow.as_ref()?)));
        let has_held = !self.store.tasks.held_by(&due.function, &due.id, 1).await?.is_empty();
        if !has_held && read.gate.is_forgotten(function.map(|(_, flow)| flow), now) {
            return self.store.gates.remove(&due.function, &read).await.map(|()| 0);
        }
        let visit = Visit { has_held, ..self.compare(due, &read.gate, now).await? };
        let Some((function, flow)) = function else {
            return self.look_without_flow(due, &read, visit, now).await.map(|()| 0);
        };
        self.pass(function, flow, &read.gate.key, visit).await.map(|passed| passed.admitted)
    }

    /// Without a flow, a dispatcher takes what is behind the gate. Its runs are still known when there is a flow again.
    async fn look_without_flow(
        &self,
        due: &DueGate,
        read: &ReadGate,
        visit: Visit,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut gate = read.gate.clone();
        visit.left.iter().chain(visit.unmoved.iter().map(|candidate| &candidate.id)).for_each(|id| gate.leave(*id));
        if !visit.has_held {
            gate.found_empty(now);
        }
        gate.plan_look(None, now);
        // If another process has written it, that one has looked at it.
        if gate != read.gate { self.store.gates.put(&due.function, read, &gate).await.map(drop) } else { Ok(()) }
    }

    /// Compares a gate with the rows of the Tasks in it.
    async fn compare(&self, due: &DueGate, gate: &Gate, now: Timestamp) -> Result<Visit, StoreError> {
        let ids: Vec<_> = gate.admitted.union(&gate.running).copied().collect();
        let records = self.store.tasks.records_without_data(&ids).await?;
        let mut visit = Visit::default();
        for id in ids {
            let record = records.iter().find(|record| record.task.id == id);
            let Some(TaskRecord { task, is_held, .. }) = record else {
                visit.left.push(id);
                continue;
            };
            match task.status {
                TaskStatus::InProgress => {}
                TaskStatus::New if *is_held && gate.admitted.contains(&id) => {
                    visit.unmoved.push(Candidate {
                        id,
                        function: due.function.clone(),
                        lane: QueueLane::Own(due.function.clone()),
                        place: Place::Held(due.id.clone()),
                        key: position(task),
                    });
                }
                // Its start was changed: it comes again when it is due.
                TaskStatus::New if *is_held || task.start_timestamp > now => visit.left.push(id),
                TaskStatus::New => {}
                TaskStatus::Complete | TaskStatus::Failed | TaskStatus::Retried | TaskStatus::Canceled => {
                    visit.left.push(id);
                }
            }
        }
        Ok(visit)
    }

    /// Changes a gate until the write wins, and moves the Tasks that it lets in and out.
    async fn pass(
        &self,
        function: &Function,
        flow: &Flow,
        key: &FlowKey,
        mut visit: Visit,
    ) -> Result<Passed, StoreError> {
        let id = GateId::of(key);
        let mut passed = Passed::default();
        let mut pauses = self.store.gates.pauses();
        let mut rounds = 0;
        loop {
            let read = self.store.gates.get(&function.name, &id).await?;
            let read = read.unwrap_or_else(|| ReadGate::new(key.clone()));
            let now = self.ports.clock.now();
            let mut decision = self.decide(function, flow, &read.gate, &visit, now).await?;
            let wake_at = decision.gate.plan_look(Some(flow), now);
            let is_written =
                decision.gate == read.gate || self.store.gates.put(&function.name, &read, &decision.gate).await?;
            if !is_written {
                let Some(pause) = pauses.next() else {
                    return Err(StoreError::Contended { action: "write the gate" });
                };
                self.ports.clock.sleep(pause).await;
                continue;
            }
            if let Some(at) = wake_at {
                self.wake(Wakeup { delay: at.since(now), task: None }).await;
            }
            passed.open.append(&mut decision.open);
            let holds = !decision.held.is_empty();
            let left = self.move_all(&id, key, now, decision, &mut passed).await?;
            // Somebody may have found nothing behind the gate before these Tasks were there.
            let has_held = holds && self.ports.clock.now().since(now) > LONGEST_MOVE;
            rounds += 1;
            if (left.is_empty() && !has_held) || rounds == ROUNDS {
                return Ok(passed);
            }
            visit = Visit { left, has_held, ..Visit::default() };
        }
    }

    /// What a visit makes of a gate.
    async fn decide(
        &self,
        function: &Function,
        flow: &Flow,
        read: &Gate,
        visit: &Visit,
        now: Timestamp,
    ) -> Result<Decision, StoreError> {
        let mut gate = read.clone();
        visit.left.iter().for_each(|id| gate.leave(*id));
        if visit.has_held {
            gate.hold(now);
        }
        let (mut open, mut held, mut admitted) = (Vec::new(), Vec::new(), visit.unmoved.clone());
        for Starting { candidate, key } in &visit.starting {
            if gate.may_start(candidate.id, flow, now) {
                gate.start(candidate.id, flow, now);
                open.push(candidate.id);
            } else {
                gate.leave(candidate.id);
                held.push((candidate.clone(), key.clone()));
            }
        }
        let mut waiting = Vec::new();
        for candidate in &visit.arrivals {
            // It was changed after it had been admitted, and has its place already.
            if gate.take_back(candidate.id) {
                admitted.push(candidate.clone());
            } else {
                waiting.push(candidate.clone());
            }
        }
        let room = gate.room(flow, now);
        if room > 0 && gate.may_hold {
            let known: BTreeSet<_> =
                gate.admitted.union(&gate.running).copied().chain(held.iter().map(|(task, _)| task.id)).collect();
            let mut behind =
                self.store.tasks.held_by(&function.name, &GateId::of(&gate.key), room + READ_BEYOND).await?;
            behind.retain(|candidate| !known.contains(&candidate.id) && !visit.left.contains(&candidate.id));
            if behind.is_empty() && held.is_empty() && waiting.len() <= room {
                gate.found_empty(now);
            }
            waiting.extend(behind);
            waiting.sort_by(|a, b| a.key.cmp(&b.key));
        }
        let rest = waiting.split_off(room.min(waiting.len()));
        gate.admitted.extend(waiting.iter().map(|candidate| candidate.id));
        admitted.extend(waiting);
        let arrived = rest.into_iter().filter(|candidate| candidate.place == Place::Queued);
        held.extend(arrived.map(|candidate| (candidate.clone(), candidate.key)));
        if !held.is_empty() {
            gate.hold(now);
        }
        Ok(Decision { gate, open, admitted, held })
    }

    /// Moves the Tasks that were admitted, and those that go behind the gate. Returns the admitted ones that have gone
    /// meanwhile.
    async fn move_all(
        &self,
        id: &GateId,
        key: &FlowKey,
        now: Timestamp,
        Decision { admitted, held, .. }: Decision,
        passed: &mut Passed,
    ) -> Result<Vec<ObjectId>, StoreError> {
        let behind = held.iter().map(|(candidate, position)| (candidate, Place::Held(id.clone()), position.clone()));
        // In the order in which they come, so that the admitted ones are claimed in it.
        let in_front =
            admitted.iter().map(|candidate| (candidate, Place::Admitted, candidate.key.at(now, candidate.id)));
        let moves: Vec<_> = in_front
            .chain(behind)
            .map(|(candidate, place, position)| self.store.tasks.move_in_lane(candidate, place, position, key))
            .collect();
        let moved: Vec<_> = stream::iter(moves).buffered(MOVED_AT_ONCE).collect().await;
        let mut gone = Vec::new();
        let mut moved = moved.into_iter();
        let mut first = None;
        let mut failed = None;
        for candidate in &admitted {
            match moved.next() {
                Some(Ok(Some(_))) => {
                    passed.admitted += 1;
                    first = first.or(Some(candidate.id));
                }
                Some(Ok(None)) => gone.push(candidate.id),
                // It is admitted, and is moved when somebody looks at the gate.
                Some(Err(error)) => failed = Some(error),
                None => {}
            }
        }
        failed = failed.or(moved.find_map(Result::err));
        if let Some(first) = first {
            // The index may not show it yet, so the wake-up names it.
            self.wake(Wakeup::for_task(first, Duration::ZERO)).await;
        }
        failed.map_or(Ok(gone), Err)
    }

    async fn wake(&self, wakeup: Wakeup) {
        if let Err(error) = self.ports.wakeups.wake(wakeup).await {
            warn!(%error, "no wake-up was sent; the ticker will find the task");
        }
    }
}

/// The position of a due Task in the queue.
fn position(task: &Task) -> ReadyKey {
    ReadyKey::new(task.priority, task.start_timestamp, task.id)
}

/// Looks at the gates of a Function whose flow was changed, at most `most` of them.
///
/// # Errors
/// The first one. The other gates are looked at nevertheless, and those that failed within a minute.
pub async fn look_at_gates(
    store: &Store,
    ports: &Ports,
    function: &Function,
    most: usize,
) -> Result<usize, StoreError> {
    let keeper = &Gatekeeper { store, ports };
    let gates = store.gates.of_function(&function.name, most).await?;
    let look = |gate: Gate| async move {
        let due = DueGate { function: function.name.clone(), id: GateId::of(&gate.key) };
        keeper.look(Some(function), &due).await
    };
    let looks: Vec<_> = stream::iter(gates).map(look).buffer_unordered(GATES_AT_ONCE).collect().await;
    looks.into_iter().sum()
}
