//! What is remembered of a tree of processes that is stopped between two runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use tasklane_runtime::lock::Lock;

use super::platform::Stat;

/// Whether a tree should be stopped, and how it was stopped.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    is_wanted: AtomicBool,
    held: Lock<Held>,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    /// Whether the control group was frozen.
    pub(super) is_group: bool,
    /// The processes that were stopped by signals.
    pub(super) stopped: BTreeSet<i32>,
    /// Every process, as last seen.
    pub(super) known: BTreeMap<i32, Stat>,
}

impl Stillness {
    /// Marks the tree as to be stopped, until the tree may go on.
    pub(super) fn want(&self) {
        self.is_wanted.store(true, Ordering::SeqCst);
    }

    /// Marks the tree as no longer to be stopped.
    pub(super) fn no_longer_want(&self) {
        self.is_wanted.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::SeqCst)
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock()
    }

    /// `None` while the tree is being stopped.
    pub(super) fn try_held(&self) -> Option<MutexGuard<'_, Held>> {
        self.held.try_lock()
    }
}
