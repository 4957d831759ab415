//! How long a shift goes on claiming, so that not all shifts drain at the same time.
//!
//! Dispatchers that began together would reach their last claim together, and no more can be at work than are allowed: until
//! one of them has ended, none claims and no other can be woken. So a shift that has lasted long enough leaves before its
//! time is up, if the register shows a younger one that goes on.
//!
//! Why one always goes on: suppose that all drain, the youngest because its time is up. Long before that, each older one
//! asked whether it may drain. Either one of them was allowed to, or it was refused because another was draining. In both
//! cases a drain began so early that it has ended by now, and made room for a shift that is younger still.

use std::time::Duration;

use tasklane_model::Timestamp;
use tasklane_ports::Ports;
use tracing::warn;

use super::{Dispatcher, Slots};

/// Into how many parts the longest drain is divided: how often a shift asks whether it may drain.
const QUESTIONS: u32 = 35;

/// How long a shift that should ask, and could not, waits at least.
const PAUSE: Duration = Duration::from_millis(200);

/// A shift's time at work.
pub(super) struct Tenure {
    began: Timestamp,
    ends: Timestamp,
    /// From when on it may drain.
    drains_from: Timestamp,
    /// How long it waits between two questions.
    pause: Duration,
    /// When it asks next; the first time it only enters itself.
    asks_from: Timestamp,
    entered: bool,
}

impl Tenure {
    /// Of a shift that begins now, must have ended then, and may drain for so long.
    pub(super) fn new(began: Timestamp, ends: Timestamp, longest_drain: Duration) -> Self {
        let pause = longest_drain / QUESTIONS;
        // A drain that begins then has ended before this shift makes its last claim.
        let drains_from = ends.saturating_sub(2 * longest_drain + 2 * pause);
        // Others have to know of it before; but most shifts have ended by then, and write nothing.
        let asks_from = began.saturating_add(drains_from.since(began) / 2);
        Self { began, ends, drains_from, pause, asks_from, entered: false }
    }

    /// How long until the next question.
    pub(super) fn until_question(&self, now: Timestamp) -> Duration {
        if self.drains_from <= self.began { Duration::MAX } else { self.asks_from.since(now).max(PAUSE) }
    }

    /// Whether the shift may drain before its time is up. An error is no reason to.
    pub(super) async fn may_drain(&mut self, dispatcher: &Dispatcher, slots: &Slots, ports: &Ports) -> bool {
        let now = ports.clock.now();
        if now < self.asks_from || self.drains_from <= self.began {
            return false;
        }
        let (shifts, holder) = (dispatcher.shifts(), slots.holder());
        let answer = match now {
            now if now >= self.drains_from && self.entered => shifts.may_drain(holder, now).await,
            now => shifts.enter(holder, self.began, self.ends, now).await.map(|()| {
                self.entered = true;
                false
            }),
        };
        let asks_next = if now < self.drains_from { self.drains_from } else { now };
        self.asks_from = asks_next.max(now.saturating_add(self.pause));
        answer.unwrap_or_else(|error| {
            warn!(%error, "the register of long shifts could not be read or written; this one goes on");
            self.asks_from = now.saturating_add(self.pause);
            false
        })
    }

    /// Tells the others that the shift drains, because its time is up.
    pub(super) async fn must_drain(&self, dispatcher: &Dispatcher, slots: &Slots, ports: &Ports) {
        if self.entered
            && let Err(error) = dispatcher.shifts().must_drain(slots.holder(), ports.clock.now()).await
        {
            warn!(%error, "the register of long shifts could not be written; others do not know that this one drains");
        }
    }

    /// Takes the shift out of the register.
    pub(super) async fn leave(&self, dispatcher: &Dispatcher, slots: &Slots) {
        if self.entered
            && let Err(error) = dispatcher.shifts().leave(slots.holder()).await
        {
            warn!(%error, "the register of long shifts could not be written; its entry ends with the shift");
        }
    }
}
