//! Decides which Tasks to claim: reads the heads of the queue and chooses among them.

use std::{collections::HashMap, sync::Arc};

use tasklane_model::{Function, FunctionName, Lane};
use tasklane_store::{Candidate, QueueLane, SlotScope, Store, StoreError};

use super::{Acquired, FunctionDirectory, Slot, Slots, taken::Taken};

/// How many heads are read at once: other dispatchers may take some of them, or their Function may be at its own limit.
const HEADS: usize = 16;

/// How often heads are read again if other dispatchers claimed all of them.
const LOST_ROUNDS: usize = 3;

/// One search for Tasks, and the lanes that remain to be searched.
pub(super) struct Search<'a> {
    store: &'a Store,
    functions: &'a FunctionDirectory,
    taken: &'a Taken,
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
    /// Starts a search in all known lanes.
    pub(super) async fn begin(
        store: &'a Store,
        functions: &'a FunctionDirectory,
        taken: &'a Taken,
    ) -> Result<Self, StoreError> {
        let lanes = functions.lanes().await?;
        Ok(Self { store, functions, taken, first_lanes: Some(lanes.clone()), lanes, lost: 0 })
    }

    /// The best due Tasks of its lanes, without those that are known to be gone. Empty if there are none in any lane.
    pub(super) async fn heads(&mut self) -> Result<Vec<Candidate>, StoreError> {
        let heads = self.heads_of_lanes().await?;
        if heads.is_empty() && self.turn_to_new_lanes().await? {
            return self.heads_of_lanes().await;
        }
        Ok(heads)
    }

    async fn heads_of_lanes(&self) -> Result<Vec<Candidate>, StoreError> {
        let mut heads = self.store.tasks.heads(&self.lanes, HEADS).await?;
        let all = heads.len();
        heads.retain(|head| !self.taken.contains(head));
        if heads.is_empty() && all == HEADS {
            // The index shows nothing but what is gone: look behind it.
            heads = self.store.tasks.heads(&self.lanes, HEADS + self.taken.len()).await?;
            heads.retain(|head| !self.taken.contains(head));
            heads.truncate(HEADS);
        }
        Ok(heads)
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
        let mut read: HashMap<&FunctionName, Option<Arc<Function>>> = HashMap::new();
        for head in heads {
            if look.held.contains(&head.lane) {
                continue;
            }
            let function = match read.get(&head.function) {
                Some(function) => function.clone(),
                // Read after the heads: if the Function is held by then, its Tasks are too.
                None => read.entry(&head.function).or_insert(functions.read(&head.function).await?).clone(),
            };
            let Some(function) = function else {
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
