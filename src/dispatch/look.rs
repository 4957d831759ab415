//! Decides which Tasks to claim: reads the heads of the queue and chooses among them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use tasklane_model::{Function, FunctionName, Lane};
use tasklane_ports::Ports;
use tasklane_store::{Candidate, Heads, Place, QueueLane, Shards, SlotScope, Store, StoreError};

use super::{
    Acquired, FunctionDirectory, Slot, Slots,
    flow::{Gatekeeper, Sorted},
    functions::Present,
    taken::Taken,
};

/// How many heads are read of each partition: other dispatchers may take some of them, or their Function may be at its own
/// limit.
const HEADS: usize = 16;

/// The most heads of one look, of all partitions together.
const MOST_HEADS: usize = 64;

/// How many shards are read at once. With no more than these, Tasks are claimed in the order of all of them.
const SHARDS: usize = 4;

/// How many Functions are read, and how many of their queues are sorted, at once.
const FUNCTIONS_AT_ONCE: usize = 8;

/// How often heads are read again if other dispatchers claimed all of them.
const LOST_ROUNDS: usize = 3;

/// One search for Tasks, and the lanes that remain to be searched.
pub(super) struct Search<'a> {
    store: &'a Store,
    functions: &'a FunctionDirectory,
    taken: &'a Taken,
    /// The shard that it begins with: if all dispatchers began with the same, they would claim the same Tasks.
    first_shard: u8,
    lanes: Vec<QueueLane>,
    /// The lanes at the beginning; `None` after it has checked for newer ones.
    first_lanes: Option<Vec<QueueLane>>,
    /// How many looks in a row yielded nothing because other dispatchers claimed everything.
    lost: usize,
}

/// The result of one look at the heads of the queue.
#[derive(Default)]
pub(super) struct Look<'a> {
    /// The Tasks to claim, in order.
    pub(super) chosen: Vec<Chosen<'a>>,
    /// The lanes whose Tasks cannot run now.
    pub(super) held: Vec<QueueLane>,
    /// Whether a Task was moved: to its Function's own lane, or by its flow key.
    pub(super) moved: bool,
    /// The resource that the next Task lacked, if it was not chosen for that reason.
    pub(super) lacking: Option<Lacking>,
}

/// What is needed to choose among heads.
#[derive(Clone, Copy)]
pub(super) struct Eyes<'a> {
    pub(super) store: &'a Store,
    pub(super) ports: &'a Ports,
    pub(super) functions: &'a FunctionDirectory,
    pub(super) slots: &'a Slots,
    pub(super) taken: &'a Taken,
}

/// Why a dispatcher cannot claim more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacking {
    /// All slots are in use.
    Slot,
    /// This process has as many runs as it can handle.
    Room,
}

/// A Task to claim.
pub(super) enum Chosen<'a> {
    /// It runs in this slot.
    Runnable { head: &'a Candidate, function: Arc<Function>, slot: Slot },
    /// Its Function was deleted, so it fails.
    Orphan(&'a Candidate),
}

impl<'a> Chosen<'a> {
    pub(super) fn head(&self) -> &'a Candidate {
        match self {
            Self::Runnable { head, .. } | Self::Orphan(head) => head,
        }
    }
}

impl<'a> Search<'a> {
    /// Starts a search in all known lanes, and in the shards from this one on.
    pub(super) async fn begin(
        store: &'a Store,
        functions: &'a FunctionDirectory,
        taken: &'a Taken,
        first_shard: u8,
    ) -> Result<Self, StoreError> {
        let lanes = functions.lanes().await?;
        Ok(Self { store, functions, taken, first_shard, first_lanes: Some(lanes.clone()), lanes, lost: 0 })
    }

    /// The best due Tasks of its lanes, without those that are known to be gone. Empty if there are none in any lane.
    pub(super) async fn heads(&mut self) -> Result<Vec<Candidate>, StoreError> {
        let heads = self.heads_of_lanes().await?;
        if heads.is_empty() && self.turn_to_new_lanes().await? {
            return self.heads_of_lanes().await;
        }
        Ok(heads)
    }

    async fn heads_of_lanes(&mut self) -> Result<Vec<Candidate>, StoreError> {
        loop {
            let mut heads = self.heads_shown(HEADS).await?;
            if heads.candidates.is_empty() && heads.is_cut {
                // The index shows nothing but what is gone: look behind it.
                heads = self.heads_shown(HEADS + self.taken.len()).await?;
            }
            heads.candidates.truncate(MOST_HEADS);
            let shown = heads.candidates.len();
            if self.taken.is_wary() {
                self.drop_gone(&mut heads.candidates).await?;
            }
            // If all are gone, they are known now, and the next look passes over them.
            if !heads.candidates.is_empty() || shown == 0 {
                return Ok(heads.candidates);
            }
        }
    }

    async fn heads_shown(&self, limit: usize) -> Result<Heads, StoreError> {
        let is_gone = |candidate: &Candidate| self.taken.contains(candidate);
        // Where others take so much, what is in one shard is enough: each dispatcher is at another one.
        let (at_once, enough) = if self.taken.is_wary() { (1, 1) } else { (SHARDS, HEADS) };
        let shards = Shards { first: self.first_shard, at_once, enough, all_up_to: SHARDS };
        let mut heads = self.store.tasks.heads_of_shards(&self.lanes, limit, shards, is_gone).await?;
        self.leave_out_held(&mut heads.candidates).await?;
        Ok(heads)
    }

    /// Leaves out the Tasks behind gates, unless their Function no longer has a flow.
    async fn leave_out_held(&self, heads: &mut Vec<Candidate>) -> Result<(), StoreError> {
        let is_held = |head: &Candidate| matches!(head.place, Place::Held(_));
        let mut names: Vec<_> = heads.iter().filter(|head| is_held(head)).map(|head| head.function.clone()).collect();
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Ok(());
        }
        let present = self.functions.present().await?;
        let found = try_join_all(names.iter().map(|name| present.read(name))).await?;
        let with_flow: HashSet<_> = names
            .into_iter()
            .zip(found)
            .filter(|(_, function)| function.as_ref().is_some_and(|function| function.flow.is_some()))
            .map(|(name, _)| name)
            .collect();
        heads.retain(|head| !(is_held(head) && with_flow.contains(&head.function)));
        Ok(())
    }

    /// Drops the Tasks that have left the queue according to their rows.
    async fn drop_gone(&self, heads: &mut Vec<Candidate>) -> Result<(), StoreError> {
        let mut are_queued = self.store.tasks.are_queued(heads).await?.into_iter();
        heads.retain(|head| {
            let is_queued = are_queued.next().unwrap_or(true);
            if !is_queued {
                self.taken.add(head);
            }
            is_queued
        });
        Ok(())
    }

    /// Looks for newer lanes, once per search: the Task that the dispatcher was woken for may be in a lane that the
    /// cached list lacks, and there may be no later wake-up for it.
    async fn turn_to_new_lanes(&mut self) -> Result<bool, StoreError> {
        let Some(known) = self.first_lanes.take() else { return Ok(false) };
        self.lanes = self.functions.lanes_now().await?;
        self.lanes.retain(|lane| !known.contains(lane));
        Ok(!self.lanes.is_empty())
    }

    /// Excludes lanes whose Tasks cannot run now.
    pub(super) fn leave_out(&mut self, held: &[QueueLane]) {
        self.lanes.retain(|lane| !held.contains(lane));
    }

    /// Counts the looks in a row in which other dispatchers claimed everything. `true` if there were too many.
    pub(super) fn is_contended(&mut self, lost_all: bool) -> bool {
        self.lost = if lost_all { self.lost + 1 } else { 0 };
        self.lost == LOST_ROUNDS
    }
}

impl<'a> Look<'a> {
    /// Chooses heads in order until there is no slot or no `room` for the next one. A slot is only requested for a Task
    /// that can use it, because a request costs writes.
    pub(super) async fn at(heads: &'a [Candidate], mut room: usize, eyes: Eyes<'_>) -> Result<Self, StoreError> {
        let Eyes { store, ports, functions, slots, taken } = eyes;
        let keeper = Gatekeeper { store, ports };
        let mut look = Self::default();
        let mut read = HashMap::new();
        let mut sorted = sort_queues(heads, functions, &keeper, taken).await?;
        look.moved = sorted.values().any(|queue| queue.moved > 0);
        // After the heads: if a Function is held by then, its Tasks are too.
        let present = functions.present().await?;
        for (index, head) in heads.iter().enumerate() {
            if look.held.contains(&head.lane) {
                continue;
            }
            if !read.contains_key(&head.function) {
                read_next(&heads[index..], &present, &mut read).await?;
            }
            let Some(function) = read.get(&head.function).cloned().flatten() else {
                // Claimed in its turn, not now, because the Tasks chosen before come first.
                look.chosen.push(Chosen::Orphan(head));
                continue;
            };
            let apart = !function.enabled || function.lane == Lane::Own;
            if apart && head.lane == QueueLane::Shared {
                // It was queued before its Function got its own lane. In the shared lane it would block other
                // Functions' Tasks.
                look.moved |= store.tasks.move_to_own_lane(head).await?;
                taken.add(head);
                continue;
            }
            if !function.enabled {
                look.held.push(head.lane.clone());
                continue;
            }
            if let Some(flow) = &function.flow
                && head.place == Place::Queued
            {
                let queue = match sorted.entry(function.name.clone()) {
                    Entry::Occupied(queue) => queue.into_mut(),
                    // It has had a flow for less than two seconds.
                    Entry::Vacant(queue) => queue.insert(Box::pin(keeper.sort(&function, flow, taken)).await?),
                };
                look.moved |= queue.moved > 0;
                if !queue.keyless.contains(&head.id) {
                    continue;
                }
            }
            if room == 0 {
                look.lacking = Some(Lacking::Room);
                break;
            }
            match slots.acquire_queued(&function).await? {
                Acquired::Granted(slot) => {
                    room -= 1;
                    look.chosen.push(Chosen::Runnable { head, function, slot });
                }
                Acquired::Full(SlotScope::Function(_)) => look.held.push(head.lane.clone()),
                Acquired::Full(SlotScope::Tasks | SlotScope::Direct) => {
                    look.lacking = Some(Lacking::Slot);
                    break;
                }
            }
        }
        Box::pin(look.pass_gates(&keeper, taken)).await?;
        Ok(look)
    }

    /// Leaves out the admitted Tasks that may not start now.
    async fn pass_gates(&mut self, keeper: &Gatekeeper<'_>, taken: &Taken) -> Result<(), StoreError> {
        let mut by_function: BTreeMap<FunctionName, (Arc<Function>, Vec<Candidate>)> = BTreeMap::new();
        for chosen in &self.chosen {
            if let Chosen::Runnable { head, function, .. } = chosen
                && function.flow.is_some()
                && head.place == Place::Admitted
            {
                let entry = by_function.entry(function.name.clone());
                entry.or_insert_with(|| (Arc::clone(function), Vec::new())).1.push((*head).clone());
            }
        }
        for (function, candidates) in by_function.into_values() {
            let Some(flow) = &function.flow else { continue };
            let open = keeper.start(&function, flow, candidates.clone()).await?;
            for closed in candidates.iter().filter(|candidate| !open.contains(&candidate.id)) {
                self.moved = true;
                taken.add(closed);
                self.chosen.retain(|chosen| chosen.head().id != closed.id);
            }
        }
        Ok(())
    }
}

/// Sorts the queues of the Functions with a flow among these heads, before anything is chosen: a newcomer must not wait for a
/// slot before it takes its turn.
async fn sort_queues(
    heads: &[Candidate],
    functions: &FunctionDirectory,
    keeper: &Gatekeeper<'_>,
    taken: &Taken,
) -> Result<HashMap<FunctionName, Sorted>, StoreError> {
    let of_own_lanes = heads.iter().filter(|head| head.lane != QueueLane::Shared && head.place == Place::Queued);
    let names: BTreeSet<_> = of_own_lanes.map(|head| &head.function).collect();
    let sort = |name: FunctionName| async move {
        if let Some(function) = functions.find(&name).await?
            && function.enabled
            && let Some(flow) = &function.flow
        {
            let sorted = Box::pin(keeper.sort(&function, flow, taken)).await?;
            return Ok::<_, StoreError>(Some((name, sorted)));
        }
        Ok(None)
    };
    // Collected first, because the compiler does not accept a stream of closures that borrow here.
    let sorts: Vec<_> = names.into_iter().cloned().map(sort).collect();
    let mut sorts = stream::iter(sorts).buffer_unordered(FUNCTIONS_AT_ONCE);
    let mut sorted = HashMap::new();
    while let Some(queue) = sorts.try_next().await? {
        sorted.extend(queue);
    }
    Ok(sorted)
}

/// Reads the Functions of the first of these Tasks, a few at a time: the look may end before it needs the others.
async fn read_next<'a>(
    heads: &'a [Candidate],
    present: &Present<'_>,
    read: &mut HashMap<&'a FunctionName, Option<Arc<Function>>>,
) -> Result<(), StoreError> {
    let mut names: Vec<&FunctionName> = Vec::new();
    for head in heads {
        if names.len() < FUNCTIONS_AT_ONCE && !names.contains(&&head.function) && !read.contains_key(&head.function) {
            names.push(&head.function);
        }
    }
    let found = try_join_all(names.iter().map(|name| present.read(name))).await?;
    read.extend(names.into_iter().zip(found));
    Ok(())
}
