//! The gates of flow keys (contract §14), one row for each Function and key.
//!
//! A gate is read, changed, and written on condition that it has not been written in between. It stands in the lane `gates`
//! of the index, at the time at which somebody must look at it again.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use sha2::{Digest as _, Sha256};
use tasklane_model::{FlowKey, FunctionName, Gate, ObjectId, Timestamp};
use tasklane_runtime::backoff::Backoff;

use super::{
    StoreError, Tasks,
    change::Condition,
    lanes::{IndexLane, time_key, time_of},
    row::{EXPIRES, NewRow, Row, json, number, text, time},
    table::Written,
};

/// The first format with gates.
const FORMAT: u32 = 2;

/// How often a gate is read and changed if others change it at the same time.
const TRIES: usize = 12;
/// The first pause between these attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// How long an idle gate is kept after the time at which somebody must look at it, and forgets it.
const KEPT_AFTER_LOOK: Duration = Duration::from_secs(24 * 60 * 60);

/// What the partitions of gates begin with.
const OF_FUNCTION: &str = "flow:";

/// The gates of flow keys.
#[derive(Clone)]
pub struct Gates {
    pub(super) tasks: Arc<Tasks>,
}

/// Which gate a Task is behind: a hash of its key, because keys may have 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GateId(String);

impl GateId {
    /// The gate of this key.
    pub fn of(key: &FlowKey) -> Self {
        Self(hex::encode(&Sha256::digest(key.as_str())[..16]))
    }

    /// The stored form, 32 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn from_row(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The shard of the lane `gates` that it is in.
    fn shard(&self, shards: u8) -> u8 {
        u8::from_str_radix(self.0.get(..2).unwrap_or("0"), 16).unwrap_or(0) % shards.max(1)
    }
}

impl fmt::Display for GateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A gate that somebody must look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueGate {
    /// The Function that it belongs to.
    pub function: FunctionName,
    /// Which of its gates it is.
    pub id: GateId,
}

/// A gate as it was read, to be written back.
#[derive(Clone, Debug)]
pub struct ReadGate {
    /// The gate.
    pub gate: Gate,
    /// The write that it was read from; `None` if it does not exist yet.
    call: Option<String>,
}

impl ReadGate {
    /// A gate that does not exist yet.
    pub fn new(key: FlowKey) -> Self {
        Self { gate: Gate::new(key), call: None }
    }
}

impl Gates {
    /// The gate; `None` if it does not exist.
    pub async fn get(&self, function: &FunctionName, id: &GateId) -> Result<Option<ReadGate>, StoreError> {
        self.tasks
            .table
            .get("read the gate", &partition(function), id.as_str())
            .await?
            .map(|row| read(&row))
            .transpose()
    }

    /// All gates of a Function, at most `most` of them.
    pub async fn of_function(&self, function: &FunctionName, most: usize) -> Result<Vec<Gate>, StoreError> {
        let rows = self.tasks.table.some_of("list the gates", &partition(function), most).await?;
        rows.iter().map(|row| Ok(read(row)?.gate)).collect()
    }

    /// Writes a gate back. `false` if another process has written it since it was read.
    pub async fn put(&self, function: &FunctionName, read: &ReadGate, gate: &Gate) -> Result<bool, StoreError> {
        let (id, call) = (GateId::of(&gate.key), self.tasks.calls.next());
        let mut row = NewRow::new(partition(function), &id).in_format(FORMAT);
        row.set("key", text(gate.key.as_str()));
        row.set("admitted", json(&gate.admitted));
        row.set("running", json(&gate.running));
        row.set("starts", json(&gate.starts));
        row.set_some("started", (!gate.started.is_empty()).then(|| json(&gate.started)));
        row.set("mayHold", number(u8::from(gate.may_hold)));
        row.set_some("lastHeld", gate.last_held.map(time));
        row.set("call", text(&call));
        // Nobody may look at it any more, because its Function is gone.
        row.set_some(EXPIRES, (!gate.is_busy()).then(|| number(gate.look.saturating_add(KEPT_AFTER_LOOK).as_secs())));
        row.set("lane", text(IndexLane::Gates.partition(id.shard(self.tasks.days.lane_shards().await?))));
        row.set("laneKey", text(format!("{}.{id}", time_key(gate.look))));
        match self.tasks.table.put("write the gate", row, as_read(read)).await {
            Ok(Written::Done(_)) => Ok(true),
            Ok(Written::Refused(Some(row))) => Ok(row.optional_text("call")? == Some(&call)),
            Ok(Written::Refused(None)) | Err(StoreError::Contended { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a gate, unless another process has written it since it was read.
    pub async fn remove(&self, function: &FunctionName, read: &ReadGate) -> Result<(), StoreError> {
        let id = GateId::of(&read.gate.key);
        self.tasks
            .table
            .delete_when("forget the gate", &partition(function), id.as_str(), as_read(read))
            .await
            .map(|_| ())
    }

    /// At most `limit` gates that somebody must look at by this time, earliest first.
    pub async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<DueGate>, StoreError> {
        let below = format!("{}/", time_key(now));
        let rows = self.tasks.lane_rows(&IndexLane::Gates, Some(&below), Some(limit)).await?;
        rows.iter().map(due_gate).collect()
    }

    /// When somebody must look at the first gate.
    pub async fn earliest(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.tasks.lane_rows(&IndexLane::Gates, None, Some(1)).await?;
        let time = |row: &Row| time_of(row.text("laneKey")?).ok_or_else(|| row.corrupt("its key is not a time"));
        rows.first().map(time).transpose()
    }

    /// The pauses between the attempts to change a gate.
    pub fn pauses(&self) -> impl Iterator<Item = Duration> + use<> {
        let calls = self.tasks.calls.clone();
        Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).spread_by(move || calls.spread()).take(TRIES - 1)
    }
}

fn as_read(read: &ReadGate) -> Condition {
    match &read.call {
        None => Condition::absent(),
        Some(call) => Condition::new("#call = :read").with("read", text(call)),
    }
}

fn read(row: &Row) -> Result<ReadGate, StoreError> {
    let gate = Gate {
        key: FlowKey::parse(row.text("key")?).map_err(|error| row.corrupt(error))?,
        admitted: row.json::<BTreeSet<ObjectId>>("admitted")?,
        running: row.json::<BTreeSet<ObjectId>>("running")?,
        starts: row.json("starts")?,
        started: row.optional_json("started")?.unwrap_or_default(),
        may_hold: row.number::<u8>("mayHold")? != 0,
        last_held: row.optional_time("lastHeld")?,
        look: time_of(row.text("laneKey")?).ok_or_else(|| row.corrupt("its key in its lane is not a time"))?,
    };
    Ok(ReadGate { gate, call: Some(row.text("call")?.to_owned()) })
}

fn due_gate(row: &Row) -> Result<DueGate, StoreError> {
    let function = row.text("pk")?.strip_prefix(OF_FUNCTION).unwrap_or_default();
    let function = FunctionName::parse(function).map_err(|error| row.corrupt(error))?;
    Ok(DueGate { function, id: GateId::from_row(row.text("sk")?) })
}

fn partition(function: &FunctionName) -> String {
    format!("{OF_FUNCTION}{function}")
}
