//! Decides which Tasks to claim: reads the heads of the queue and chooses among them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tasklane_model::{Function, FunctionName, Lane};
use tasklane_store::{Candidate, Heads, QueueLane, Shards, SlotScope, Store, StoreError};

use super::{Acquired, FunctionDirectory, Slot, Slots, taken::Taken};

/// How many heads are read of each partition: other dispatchers may take some of them, or their Function may be at its own
/// limit.
const HEADS: usize = 16;

/// The most heads of one look, of all partitions together.
const MOST_HEADS: usize = 64;

/// How many shards are read at once. With no more than these, Tasks are claimed in the order of all of them.
const SHARDS: usize = 4;

/// How many Functions are read at once.
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
    /// Whether a Task was moved to its Function's own lane.
    pub(super) moved: bool,
    /// The resource that the next Task lacked, if it was not chosen for that reason.
    pub(super) lacking: Option<Lacking>,
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
        self.store.tasks.heads_of_shards(&self.lanes, limit, shards, is_gone).await
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
    pub(super) async fn at(
        heads: &'a [Candidate],
        mut room: usize,
        store: &Store,
        functions: &FunctionDirectory,
        slots: &Slots,
        taken: &Taken,
    ) -> Result<Self, StoreError> {
        let mut look = Self::default();
        // Read after the heads: if a Function is held by then, its Tasks are too.
        let read = read_functions(heads, functions).await?;
        for head in heads {
            if look.held.contains(&head.lane) {
                continue;
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
        Ok(look)
    }
}

/// The current Functions of these Tasks.
async fn read_functions<'a>(
    heads: &'a [Candidate],
    functions: &FunctionDirectory,
) -> Result<HashMap<&'a FunctionName, Option<Arc<Function>>>, StoreError> {
    let names: BTreeSet<_> = heads.iter().map(|head| &head.function).collect();
    let reads: Vec<_> = names.into_iter().map(|name| async move { Ok((name, functions.read(name).await?)) }).collect();
    stream::iter(reads).buffered(FUNCTIONS_AT_ONCE).try_collect().await
}
