//! Which Tasks to claim: the heads of the queue, and the choice among them.

use std::{collections::HashMap, sync::Arc};

use tasklane_model::{Function, FunctionName, Lane};
use tasklane_store::{Candidate, QueueLane, SlotScope, Store, StoreError};

use super::{Acquired, FunctionDirectory, Slot, Slots};

/// How many heads of the queue are read at once: some may be taken by others, or wait for their Function's own limit.
const HEADS: usize = 16;

/// How often heads are read again when others took all of them. The index lags behind the rows, so the same heads may
/// come back for a moment.
const LOST_ROUNDS: usize = 3;

/// The lanes in which one search for Tasks still looks.
pub(super) struct Search<'a> {
    store: &'a Store,
    functions: &'a FunctionDirectory,
    lanes: Vec<QueueLane>,
    /// The lanes that it began with, until it has asked whether there are newer ones.
    first_lanes: Option<Vec<QueueLane>>,
    /// How many looks in a row brought nothing because others took everything.
    lost: usize,
}

/// What came of a look at the heads of the queue.
#[derive(Default)]
pub(super) struct Look<'a> {
    /// What is to be claimed, in order.
    pub(super) chosen: Vec<Chosen<'a>>,
    /// The lanes of which nothing can run now.
    pub(super) held: Vec<QueueLane>,
    /// Whether a Task was moved to its Function's own lane.
    pub(super) moved: bool,
    /// What the next Task was not chosen for want of.
    pub(super) lacking: Option<Lacking>,
}

/// What stops a dispatcher from claiming more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacking {
    /// Every slot is in use.
    Slot,
    /// This process holds as many runs as it can.
    Room,
}

/// A Task to be claimed.
pub(super) enum Chosen<'a> {
    /// It will run, in this slot.
    Runnable { head: &'a Candidate, function: Arc<Function>, slot: Slot },
    /// Its Function is gone: it will fail.
    Orphan(&'a Candidate),
}

impl<'a> Search<'a> {
    /// A search in every lane that is known.
    pub(super) async fn begin(store: &'a Store, functions: &'a FunctionDirectory) -> Result<Self, StoreError> {
        let lanes = functions.lanes().await?;
        Ok(Self { store, functions, first_lanes: Some(lanes.clone()), lanes, lost: 0 })
    }

    /// The best due Tasks of its lanes. None: there are none in any lane.
    pub(super) async fn heads(&mut self) -> Result<Vec<Candidate>, StoreError> {
        let heads = self.store.tasks.heads(&self.lanes, HEADS).await?;
        if heads.is_empty() && self.turn_to_new_lanes().await? {
            return self.store.tasks.heads(&self.lanes, HEADS).await;
        }
        Ok(heads)
    }

    /// The second chance, once in each search: the Task that the dispatcher was woken for may be in a lane that is newer than
    /// what is remembered of the lanes, and perhaps nobody comes back to look.
    async fn turn_to_new_lanes(&mut self) -> Result<bool, StoreError> {
        let Some(known) = self.first_lanes.take() else { return Ok(false) };
        self.lanes = self.functions.lanes_now().await?;
        self.lanes.retain(|lane| !known.contains(lane));
        Ok(!self.lanes.is_empty())
    }

    /// Looks no more into lanes of which nothing can run now.
    pub(super) fn leave_out(&mut self, held: &[QueueLane]) {
        self.lanes.retain(|lane| !held.contains(lane));
    }

    /// Counts the looks in a row of which others took everything. `true`: there were too many.
    pub(super) fn is_contended(&mut self, lost_all: bool) -> bool {
        self.lost = if lost_all { self.lost + 1 } else { 0 };
        self.lost == LOST_ROUNDS
    }
}

impl<'a> Look<'a> {
    /// Chooses among the heads of the queue, in their order, until there is no slot or no `room` for the next one. A slot is
    /// asked for only where there is a Task to run in it: asking costs writes.
    pub(super) async fn at(
        heads: &'a [Candidate],
        mut room: usize,
        store: &Store,
        functions: &FunctionDirectory,
        slots: &Slots,
    ) -> Result<Self, StoreError> {
        let mut look = Self::default();
        let mut read: HashMap<&FunctionName, Option<Arc<Function>>> = HashMap::new();
        for head in heads {
            if look.held.contains(&head.lane) {
                continue;
            }
            let function = match read.get(&head.function) {
                Some(function) => function.clone(),
                // Read after the heads: if the Function is held back by then, so are its Tasks.
                None => read.entry(&head.function).or_insert(functions.read(&head.function).await?).clone(),
            };
            let Some(function) = function else {
                // In its turn: to claim it now would be to pass over what was chosen before.
                look.chosen.push(Chosen::Orphan(head));
                continue;
            };
            let apart = !function.enabled || function.lane == Lane::Own;
            if apart && head.lane == QueueLane::Shared {
                // Queued before its Function could be held back. In the shared lane it would block other Functions' Tasks.
                look.moved |= store.tasks.move_to_own_lane(head).await?;
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
