//! One part of a tick: how long it may take, and what came of it.

use std::sync::Arc;

use futures::{StreamExt as _, stream::FuturesUnordered};
use tasklane_model::Timestamp;
use tasklane_ports::Clock;
use tasklane_store::StoreError;
use tracing::warn;

/// How many errors of one part are logged. If a table cannot be reached, each of thousands of rows fails.
const MOST_LOGGED: usize = 10;

/// A part of a tick in progress, and its result.
pub(super) struct Part {
    name: &'static str,
    clock: Arc<dyn Clock>,
    ends: Timestamp,
    /// How many rows were handled.
    pub(super) done: usize,
    /// Whether the time was over before the work. The next tick does the rest.
    pub(super) is_cut: bool,
    /// The first error; the others were logged.
    pub(super) error: Option<StoreError>,
    failures: usize,
}

impl Part {
    pub(super) fn new(name: &'static str, clock: &Arc<dyn Clock>, ends: Timestamp) -> Self {
        Self { name, clock: Arc::clone(clock), ends, done: 0, is_cut: false, error: None, failures: 0 }
    }

    /// Whether there is time for another batch. If not, the part ends here and leaves something over.
    pub(super) fn has_time(&mut self) -> bool {
        self.is_cut |= self.clock.now() >= self.ends;
        !self.is_cut
    }

    /// When it has to end.
    pub(super) fn ends(&self) -> Timestamp {
        self.ends
    }

    pub(super) fn fail(&mut self, error: StoreError) {
        self.failures += 1;
        if self.error.is_none() {
            self.error = Some(error);
        } else if self.failures <= MOST_LOGGED {
            warn!(part = self.name, %error, "a part of the tick failed more than once");
        }
    }

    /// How often the part did something or failed to. Equal numbers before and after a batch mean that nothing changed.
    pub(super) fn attempts(&self) -> usize {
        self.done + self.failures
    }

    /// Works on each item, which says how much was done, `at_once` at a time and as long as there is time. An item that fails does not stop the others.
    /// Returns the items that there was no time for.
    pub(super) async fn each<T, F, N>(&mut self, items: Vec<T>, at_once: usize, work: impl Fn(T) -> F) -> Vec<T>
    where
        F: Future<Output = Result<N, StoreError>>,
        N: Into<usize>,
    {
        let mut items = items.into_iter();
        let mut in_progress = FuturesUnordered::new();
        loop {
            while in_progress.len() < at_once
                && self.clock.now() < self.ends
                && let Some(item) = items.next()
            {
                in_progress.push(work(item));
            }
            match in_progress.next().await {
                Some(Ok(done)) => self.done += done.into(),
                Some(Err(error)) => self.fail(error),
                None => break,
            }
        }
        self.is_cut |= items.len() > 0;
        items.collect()
    }

    /// The part, after it has said how many errors it did not log.
    pub(super) fn end(self) -> Self {
        if let Some(unlogged) = self.failures.checked_sub(MOST_LOGGED).filter(|unlogged| *unlogged > 0) {
            warn!(part = self.name, unlogged, "further errors in this part of the tick were not logged");
        }
        self
    }
}
