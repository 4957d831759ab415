//! Decides when a long shift drains, so that not all shifts drain at the same time.
//!
//! Dispatchers that began together would make their last claims together. While all of them drain, none claims, and no
//! other can start, because their number is limited. So a shift that has worked long enough drains before its time is
//! up, if the register shows a younger shift that will go on.
//!
//! This is why at least one always goes on. Suppose that all drain, the youngest because its time is up. Long before
//! that, each older one asked whether it may drain. Either one of them was allowed to, or it was refused because
//! another one was draining. In both cases a drain began so early that it has ended by now and made room for an even
//! younger shift.

use std::time::Duration;

use tasklane_model::Timestamp;
use tasklane_ports::Ports;
use tracing::warn;

use super::{Dispatcher, Slots};

/// How often a shift asks whether it may drain, within the longest drain.
const QUESTIONS: u32 = 35;

/// The least that a shift waits if it should ask but could not.
const PAUSE: Duration = Duration::from_millis(200);

/// The working time of a shift.
pub(super) struct Tenure {
    began: Timestamp,
    ends: Timestamp,
    /// The earliest time to drain.
    drains_from: Timestamp,
    /// The pause between two questions.
    pause: Duration,
    /// When to ask next. The first time, the shift only enters itself into the register.
    asks_from: Timestamp,
    entered: bool,
}

impl Tenure {
    /// For a shift that begins at `began`, must have ended at `ends`, and may drain for up to `longest_drain`.
    pub(super) fn new(began: Timestamp, ends: Timestamp, longest_drain: Duration) -> Self {
        let pause = longest_drain / QUESTIONS;
        // A drain that begins then ends before this shift makes its last claim.
        let drains_from = ends.saturating_sub(2 * longest_drain + 2 * pause);
        // Others have to know about it before that. But most shifts have ended by then, and write nothing.
        let asks_from = began.saturating_add(drains_from.since(began) / 2);
        Self { began, ends, drains_from, pause, asks_from, entered: false }
    }

    pub(super) fn until_question(&self, now: Timestamp) -> Duration {
        if self.drains_from <= self.began { Duration::MAX } else { self.asks_from.since(now).max(PAUSE) }
    }

    /// Whether the shift may drain before its time is up. `false` after an error.
    pub(super) async fn may_drain(&mut self, dispatcher: &Dispatcher, slots: &Slots, ports: &Ports) -> bool {
        let now = ports.clock.now();
        if now < self.asks_from || self.drains_from <= self.began {
            return false;
        }
        let (shifts, holder) = (dispatcher.shifts(), slots.holder());
        let next = now.saturating_add(self.pause);
        let answer = if self.entered {
            shifts.may_drain(holder, now).await
        } else {
            shifts.enter(holder, self.began, self.ends, now).await.map(|()| false)
        };
        match answer {
            Ok(may_drain) => {
                self.entered = true;
                self.asks_from = next.max(self.drains_from);
                may_drain
            }
            Err(error) => {
                warn!(%error, "the register of long shifts could not be read or written; this one goes on");
                self.asks_from = next;
                false
            }
        }
    }

    /// Records that the shift drains because its time is up.
    pub(super) async fn must_drain(&self, dispatcher: &Dispatcher, slots: &Slots, ports: &Ports) {
        if self.entered
            && let Err(error) = dispatcher.shifts().must_drain(slots.holder(), ports.clock.now()).await
        {
            warn!(%error, "the register of long shifts could not be written; others do not know that this one drains");
        }
    }

    /// Removes the shift from the register.
    pub(super) async fn leave(&self, dispatcher: &Dispatcher, slots: &Slots) {
        if self.entered
            && let Err(error) = dispatcher.shifts().leave(slots.holder()).await
        {
            warn!(%error, "the register of long shifts could not be written; its entry ends with the shift");
        }
    }
}
