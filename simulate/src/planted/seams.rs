//! The places where a bug can be planted.

use std::{fmt, time::Duration};

use serde_json::Value;

/// The places where the simulation lets a bug act. The defaults are the correct behaviour.
pub trait Seams: Sync {
    /// Changes a request before it goes to the database. `now` is the time on its sender's clock, in milliseconds.
    fn rewrite_request(&self, _operation: &str, _body: &mut Value, _now: i64) {}

    /// Changes the database's response to this request before the product reads it.
    fn rewrite_answer(&self, _operation: &str, _body: &Value, _answer: &mut Vec<u8>) {}

    /// Whether the parts of a transaction are written one after another.
    fn splits_transactions(&self) -> bool {
        false
    }

    /// How long a process sleeps that wants to sleep for `duration`.
    fn sleep(&self, duration: Duration, _has_runs: &dyn Fn() -> bool) -> Duration {
        duration
    }

    /// Whether an invocation whose outcome is unknown is repeated.
    fn retries_unknown_outcomes(&self) -> bool {
        false
    }

    /// Whether a publisher is told that an event was accepted before it is sent.
    fn acknowledges_events_early(&self) -> bool {
        false
    }

    /// Whether a wake-up is dropped that is the last of a chain of this length, in which each was sent by the
    /// dispatcher that the previous one woke.
    fn drops_wakeup(&self, _hops: u32) -> bool {
        false
    }

    /// Whether a dispatcher asks only once whether it has a Task, however its call ends.
    fn claims_once(&self) -> bool {
        false
    }

    /// Whether a dispatcher ignores the Task that it was woken for.
    fn forgets_what_it_was_woken_for(&self) -> bool {
        false
    }
}

/// The product as it is.
pub struct NoBug;

impl Seams for NoBug {}

/// A bug to plant.
#[derive(Clone, Copy)]
pub struct Bug {
    name: &'static str,
    seams: &'static dyn Seams,
}

impl Bug {
    pub const fn new(name: &'static str, seams: &'static dyn Seams) -> Self {
        Self { name, seams }
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        self.name
    }

    pub fn seams(self) -> &'static dyn Seams {
        self.seams
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
