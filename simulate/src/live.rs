//! What is free and who is at work: what liveness is judged by. Kept from what the ledger and the rows hold and from what
//! the queue of wake-ups did, never from what the product says of itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tasklane_model::{ObjectId, Timestamp};

use crate::{journal::LifeId, time};

/// A shift of a dispatcher.
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    /// When it began, in milliseconds since the start.
    pub began: i64,
    /// From when on it claims nothing more, in milliseconds since the start.
    pub last_claim: i64,
    /// Whether it claims nothing more already, as the register says.
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
    /// When, in milliseconds since the start.
    pub at: i64,
    /// The dispatcher that it reached; `None`: it was dropped on its way, and not by chance.
    pub to: Option<LifeId>,
    /// Which Task it was sent for.
    pub task: Option<ObjectId>,
}

/// One holder's slots of a scope: how many, and until when.
type Held = (u64, i64);

/// What is free and who is at work.
#[derive(Default)]
pub struct Live {
    /// The dispatchers at work.
    pub shifts: BTreeMap<LifeId, Shift>,
    /// The processes that live, with when they started.
    pub lives: BTreeMap<LifeId, i64>,
    /// The wake-ups that were delivered.
    pub deliveries: Vec<Delivery>,
    /// When last no dispatcher could have started one more run.
    pub no_room: i64,
    /// When last this one could not have.
    pub no_room_of: BTreeMap<LifeId, i64>,
    /// Whether it was reported that every dispatcher drains.
    pub all_drain: bool,
    /// Tasks that were reported.
    pub reported: BTreeSet<ObjectId>,
    ledger: BTreeMap<String, BTreeMap<String, Held>>,
    last_full: BTreeMap<String, i64>,
}

impl Live {
    /// A row of the ledger as it is after a write.
    pub fn saw_ledger(&mut self, scope: &str, holders: &str, limit: Option<u16>, now: i64, skew: i64) {
        let holders: BTreeMap<String, Value> = serde_json::from_str(holders).unwrap_or_default();
        let held = |held: &Value| {
            let until = held["until"].as_str().and_then(|until| until.parse::<Timestamp>().ok());
            (held["slots"].as_u64().unwrap_or(0), until.map_or(i64::MAX, |until| time::since_start(until.as_millis())))
        };
        // Full until now is full, and so is full from now on.
        self.note_full(scope, limit, now, skew);
        self.ledger.insert(scope.to_owned(), holders.iter().map(|(name, one)| (name.clone(), held(one))).collect());
        self.note_full(scope, limit, now, skew);
    }

    /// The register of long shifts as it is after a write.
    pub fn saw_shifts(&mut self, holders: &str) {
        let holders: BTreeMap<String, Value> = serde_json::from_str(holders).unwrap_or_default();
        for (life, shift) in &mut self.shifts {
            shift.drains |= holders.get(&life.to_string()).is_some_and(|entry| entry["drains"] == true);
        }
    }

    /// When a slot of this scope was last not to be had, by what its ledger says: a lease that has ended counts for so much
    /// longer, as clocks differ.
    pub fn note_full(&mut self, scope: &str, limit: Option<u16>, now: i64, skew: i64) -> i64 {
        let held = self.ledger.get(scope).into_iter().flat_map(BTreeMap::values);
        let held: u64 = held.filter(|(_, until)| *until + skew >= now).map(|(slots, _)| slots).sum();
        let full = limit.is_some_and(|limit| held >= u64::from(limit));
        self.note(scope, full, now)
    }

    /// When a slot of this scope was last not to be had, when that is known to be so or not now.
    pub fn note(&mut self, scope: &str, full: bool, now: i64) -> i64 {
        let last = self.last_full.entry(scope.to_owned()).or_default();
        if full {
            *last = now;
        }
        *last
    }
}
