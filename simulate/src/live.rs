//! The free slots and the dispatchers at work, which the check of liveness needs. They come from the ledger, the rows
//! and the queue of wake-ups, never from the product's own reports.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::Value;
use tasklane_model::{ObjectId, Timestamp};

use crate::{journal::LifeId, time};

/// A shift of a dispatcher.
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    /// When it began, in milliseconds since the start.
    pub began: i64,
    /// When it stops claiming, in milliseconds since the start.
    pub last_claim: i64,
    /// Whether it has stopped claiming already, according to the register.
    pub drains: bool,
}

impl Shift {
    /// Whether it only waits for its runs.
    pub fn drains(&self, now: i64) -> bool {
        self.drains || now >= self.last_claim
    }
}

/// A wake-up that reached a dispatcher.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// The time, in milliseconds since the start.
    pub at: i64,
    /// The dispatcher that it reached; `None` if it was dropped on its way by something other than a random fault.
    pub to: Option<LifeId>,
    /// The Task that it was sent for.
    pub task: Option<ObjectId>,
}

/// The slots of one holder in a row of the ledger: their number, and when their lease ends.
type Held = (u64, i64);

/// The scope and the part that a row of the ledger is about; no part: it is the scope's main row.
pub fn scope_and_part(pk: &str) -> Option<(&str, &str)> {
    let row = pk.strip_prefix("slots:")?;
    Some(row.split_once('#').unwrap_or((row, "")))
}

/// The free slots and the dispatchers at work.
#[derive(Default)]
pub struct Live {
    /// The dispatchers at work.
    pub shifts: BTreeMap<LifeId, Shift>,
    /// The living processes, each with the time of its start.
    pub lives: BTreeMap<LifeId, i64>,
    /// The delivered wake-ups.
    pub deliveries: Vec<Delivery>,
    /// The last time at which no dispatcher could have started one more run.
    pub no_room: i64,
    /// The last time at which this dispatcher could not have.
    pub no_room_of: BTreeMap<LifeId, i64>,
    /// Whether it was reported that every dispatcher drains.
    pub all_drain: bool,
    /// The Tasks that were reported.
    pub reported: BTreeSet<ObjectId>,
    /// By the scope, the part, and the holder.
    ledger: BTreeMap<String, BTreeMap<(String, String), Held>>,
    last_full: BTreeMap<String, i64>,
}

impl Live {
    /// Records a row of the ledger after a write. The slots of a part are those that are held in its own row: a block that the
    /// main row leases to it says nothing about how many are free.
    pub fn saw_ledger(&mut self, (scope, part): (&str, &str), holders: &str, limit: Option<u16>, now: i64, skew: i64) {
        let holders: BTreeMap<String, Value> = serde_json::from_str(holders).unwrap_or_default();
        let held = |held: &Value| {
            let until = held["until"].as_str().and_then(|until| until.parse::<Timestamp>().ok());
            (held["slots"].as_u64().unwrap_or(0), until.map_or(i64::MAX, |until| time::since_start(until.as_millis())))
        };
        // If it was full before or is full after the write, it was full at this moment.
        self.note_full(scope, limit, now, skew);
        let rows = self.ledger.entry(scope.to_owned()).or_default();
        rows.retain(|(of, _), _| of != part);
        let processes = holders.iter().filter(|(name, _)| !name.starts_with('#'));
        rows.extend(processes.map(|(name, one)| ((part.to_owned(), name.clone()), held(one))));
        self.note_full(scope, limit, now, skew);
    }

    /// Records the register of long shifts after a write.
    pub fn saw_shifts(&mut self, holders: &str) {
        let holders: BTreeMap<String, Value> = serde_json::from_str(holders).unwrap_or_default();
        for (life, shift) in &mut self.shifts {
            shift.drains |= holders.get(&life.to_string()).is_some_and(|entry| entry["drains"] == true);
        }
    }

    /// The last time at which no slot of this scope was free, according to its ledger. Leases are assumed to last
    /// `skew` longer, because clocks differ.
    pub fn note_full(&mut self, scope: &str, limit: Option<u16>, now: i64, skew: i64) -> i64 {
        let full_until = self.full_until(scope, limit).map(|until| (until.saturating_add(skew)).min(now));
        self.note_at(scope, full_until)
    }

    /// Until when no slot of this scope is free if nobody writes its ledger: leases end without a write.
    fn full_until(&self, scope: &str, limit: Option<u16>) -> Option<i64> {
        let limit = u64::from(limit?);
        let mut leases: Vec<Held> = self.ledger.get(scope)?.values().copied().collect();
        leases.sort_by_key(|(_, until)| Reverse(*until));
        let mut held = 0;
        let last = leases.into_iter().find(|(slots, _)| {
            held += slots;
            held >= limit
        });
        last.map(|(_, until)| until)
    }

    /// Records whether a slot of this scope is free now. Returns the last time at which none was.
    pub fn note(&mut self, scope: &str, full: bool, now: i64) -> i64 {
        self.note_at(scope, full.then_some(now))
    }

    fn note_at(&mut self, scope: &str, full: Option<i64>) -> i64 {
        let last = self.last_full.entry(scope.to_owned()).or_default();
        *last = full.map_or(*last, |full| full.max(*last));
        *last
    }
}
