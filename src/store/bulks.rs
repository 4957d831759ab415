//! Bulk operations: what they are about, how far they are, and who works on them (contract §17).
//!
//! An operation goes through its Tasks in the order of their ids, in slices. A slice is written down before its first
//! Task is acted on: its ids, and the time that counts for all of it. A worker that finds an unfinished slice repeats it with the
//! same values, and each act recognizes what it did before. So every Task is acted on and counted once, even if processes
//! crash in between. The end of a slice, its counts and the next slice are one write.
//!
//! What an operation is about never changes, so it has a row of its own. A small third row says that the operation is
//! running.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tasklane_model::{Bulk, BulkOrder, BulkSelection, BulkStatus, Json, ObjectId, Page, Timestamp};
use tasklane_ports::Clock;
use tasklane_rql::Query;

use super::{
    StoreError,
    calls::CallTokens,
    change::Condition,
    list::{Budgets, Layout, Listed, Plan, page, public},
    row::{EXPIRES, NewRow, Row, json, number, text, time},
    table::{Table, Written},
};

/// The partition of all operations.
const ALL: &str = "bulk";
/// The partition of what they are about.
const SPECS: &str = "bulk:spec";
/// The partition of the ids of those that run.
const RUNNING: &str = "bulk:running";

/// The first format with bulk operations.
const FORMAT: u32 = 2;

/// How many operations run at once, approximately: those that begin at the same moment do not see each other.
pub const MOST_RUNNING: usize = 20;
/// How long an operation may run.
pub const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long an operation is kept after its end.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long an operation belongs to the process that works on it, without a sign of life.
const LEASE: Duration = Duration::from_secs(60);
/// How often a change that meets others is tried.
const TRIES: usize = 20;

/// What a bulk operation is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BulkSpec {
    /// What it does.
    pub order: BulkOrder,
    /// With which Tasks.
    pub selection: BulkSelection,
}

/// A few of an operation's Tasks, which are acted on together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The time of everything that is done in it.
    pub at: Timestamp,
    /// The Tasks.
    pub ids: Vec<ObjectId>,
    /// Where the next slice begins: behind this id. `None`: this is the last one.
    pub next: Option<ObjectId>,
}

/// An operation that a process works on.
#[derive(Clone, Debug)]
pub struct BulkWork {
    /// The operation.
    pub bulk: Bulk,
    /// The last Task that was handled.
    pub cursor: Option<ObjectId>,
    /// The Tasks that are being acted on.
    pub slice: Option<Slice>,
    /// When the next slice may begin.
    pub next_at: Option<Timestamp>,
    /// Until when nobody else works on it.
    pub leased_until: Timestamp,
    worker: String,
    revision: u64,
}

/// Whether an operation can be worked on.
#[derive(Debug)]
pub enum BulkTaken {
    /// This process may work on it.
    Work(Box<BulkWork>),
    /// Another process works on it.
    Busy,
    /// There is nothing to do.
    Ended,
}

/// The bulk operations.
#[derive(Clone)]
pub struct Bulks {
    pub(super) control: Table,
    pub(super) calls: CallTokens,
    pub(super) budgets: Budgets,
    pub(super) clock: Arc<dyn Clock>,
}

impl Bulks {
    /// Adds an operation. `false` if too many are running.
    pub async fn create(&self, bulk: &Bulk, spec: &BulkSpec) -> Result<bool, StoreError> {
        const ACTION: &str = "add the bulk operation";
        if self.running().await?.len() >= MOST_RUNNING {
            return Ok(false);
        }
        let mut row = NewRow::new(SPECS, bulk.id).in_format(FORMAT);
        row.set("spec", json(spec));
        // If it is never removed, because a process died, it outlives the operation.
        let expires = bulk.creation_timestamp.saturating_add(LONGEST + 2 * KEPT);
        row.set(EXPIRES, number(expires.as_secs()));
        self.control.put("add what the bulk operation is about", row, Condition::absent()).await?;
        let work = BulkWork {
            bulk: bulk.clone(),
            cursor: None,
            slice: None,
            next_at: None,
            leased_until: Timestamp::EPOCH,
            worker: String::new(),
            revision: 0,
        };
        // Together, so that there is no running operation that nobody works on.
        let parts = vec![
            self.control.to_put_new(ACTION, NewRow::new(RUNNING, bulk.id).in_format(FORMAT))?,
            self.control.to_put_new(ACTION, row_of(&work, 1, None))?,
        ];
        self.control.transact(ACTION, parts).await.map(|_| true)
    }

    /// An operation.
    pub async fn get(&self, id: ObjectId) -> Result<Option<Bulk>, StoreError> {
        let row = self.row(id).await?;
        row.map(|row| row.json("record")).transpose()
    }

    /// The operations that match the query, in their public form.
    pub async fn list(&self, query: &Query, now: Timestamp) -> Result<Page<Json>, StoreError> {
        let listed = Listed {
            action: "list the bulk operations",
            table: self.control.clone(),
            layout: Layout::AnyOf(vec![ALL.to_owned()]),
            time_field: "creationTimestamp",
            expire: true,
            decode: |row| public(row, &row.json::<Bulk>("record")?),
            data: None,
            ids_only: false,
            budgets: self.budgets.clone(),
            clock: Arc::clone(&self.clock),
        };
        page(&listed, &Plan::new(query, listed.time_field), query, now).await
    }

    /// What an operation is about.
    pub async fn spec(&self, id: ObjectId) -> Result<Option<BulkSpec>, StoreError> {
        let row = self.control.get("read what the bulk operation is about", SPECS, &id.to_string()).await?;
        row.map(|row| row.json("spec")).transpose()
    }

    /// The operations that may be running, oldest first.
    pub async fn running(&self) -> Result<Vec<ObjectId>, StoreError> {
        let rows = self.control.all_of("read which bulk operations are running", RUNNING).await?;
        rows.iter().map(|row| row.parse("sk")).collect()
    }

    /// Takes an operation, if nobody else works on it.
    pub async fn take(&self, id: ObjectId, worker: &str) -> Result<BulkTaken, StoreError> {
        let now = self.clock.now();
        let Some(row) = self.row(id).await? else {
            self.forget_running(id).await?;
            return Ok(BulkTaken::Ended);
        };
        let mut work = read(&row)?;
        if work.is_over() {
            self.forget_running(id).await?;
            return Ok(BulkTaken::Ended);
        }
        if work.worker != worker && work.leased_until > now {
            return Ok(BulkTaken::Busy);
        }
        worker.clone_into(&mut work.worker);
        Ok(if self.save(&mut work).await? { BulkTaken::Work(Box::new(work)) } else { BulkTaken::Busy })
    }

    /// Writes the progress down, and goes on working. `false` if another process did meanwhile.
    pub async fn save(&self, work: &mut BulkWork) -> Result<bool, StoreError> {
        let until = self.clock.now().saturating_add(LEASE);
        self.write(work, until).await
    }

    /// Lets another process go on.
    pub async fn give_back(&self, mut work: BulkWork) -> Result<(), StoreError> {
        self.write(&mut work, Timestamp::EPOCH).await.map(|_| ())
    }

    /// Stops an operation: what is being done now is finished. `None` if there is no such operation, `false` if it has
    /// ended.
    pub async fn stop(&self, id: ObjectId) -> Result<Option<bool>, StoreError> {
        for _ in 0..TRIES {
            let Some(row) = self.row(id).await? else { return Ok(None) };
            let mut work = read(&row)?;
            if work.bulk.status != BulkStatus::Running {
                return Ok(Some(false));
            }
            work.bulk.end(BulkStatus::Stopped, self.clock.now());
            let leased_until = work.leased_until;
            if self.write(&mut work, leased_until).await? {
                return Ok(Some(true));
            }
        }
        Err(StoreError::Contended { action: "stop the bulk operation" })
    }

    async fn row(&self, id: ObjectId) -> Result<Option<Row>, StoreError> {
        let row = self.control.get("read the bulk operation", ALL, &id.to_string()).await?;
        Ok(row.filter(|row| !row.is_expired(self.clock.now())))
    }

    async fn write(&self, work: &mut BulkWork, leased_until: Timestamp) -> Result<bool, StoreError> {
        const ACTION: &str = "write the progress of the bulk operation down";
        work.leased_until = leased_until;
        work.bulk.update_timestamp = self.clock.now();
        let call = self.calls.next();
        let unchanged = Condition::new("#revision = :read").with("read", number(work.revision));
        let written = self.control.put(ACTION, row_of(work, work.revision + 1, Some(&call)), unchanged).await?;
        let is_ours = match written {
            Written::Done(_) => true,
            // The response to an earlier try was lost.
            Written::Refused(Some(row)) => row.optional_text("writtenBy")? == Some(&call),
            Written::Refused(None) => false,
        };
        work.revision += u64::from(is_ours);
        if is_ours && work.is_over() {
            self.forget_running(work.bulk.id).await?;
        }
        Ok(is_ours)
    }

    async fn forget_running(&self, id: ObjectId) -> Result<(), StoreError> {
        const ACTION: &str = "note that the bulk operation has ended";
        self.control.delete_when(ACTION, RUNNING, &id.to_string(), Condition::new("")).await.map(|_| ())
    }
}

impl BulkWork {
    /// Ends the slice: its outcomes are counted, and the next one begins behind it.
    pub fn end_slice(
        &mut self,
        outcomes: impl IntoIterator<Item = Result<(), tasklane_model::SkipReason>>,
        now: Timestamp,
    ) {
        let Some(slice) = self.slice.take() else { return };
        for outcome in outcomes {
            self.bulk.count(outcome);
        }
        self.cursor = slice.next.or(self.cursor);
        if slice.next.is_none() && self.bulk.status == BulkStatus::Running {
            self.bulk.end(BulkStatus::Complete, now);
        }
    }

    /// Whether nothing is left to be done.
    pub fn is_over(&self) -> bool {
        self.bulk.status != BulkStatus::Running && self.slice.is_none()
    }
}

fn row_of(work: &BulkWork, revision: u64, call: Option<&str>) -> NewRow {
    let BulkWork { bulk, cursor, slice, next_at, leased_until, worker, revision: _ } = work;
    let mut row = NewRow::new(ALL, bulk.id).in_format(FORMAT);
    row.set("record", json(bulk));
    row.set_some("cursor", cursor.map(|id| text(id.to_string())));
    row.set_some("slice", slice.as_ref().map(json));
    row.set_some("nextAt", next_at.map(time));
    row.set("lease", time(*leased_until));
    row.set("worker", text(worker));
    row.set("revision", number(revision));
    row.set_some("writtenBy", call.map(text));
    let expires = bulk.ended_timestamp.map(|ended| ended.saturating_add(KEPT));
    row.set_some(EXPIRES, expires.map(|expires| number(expires.as_secs())));
    row
}

fn read(row: &Row) -> Result<BulkWork, StoreError> {
    Ok(BulkWork {
        bulk: row.json("record")?,
        cursor: row.optional_text("cursor")?.map(|_| row.parse("cursor")).transpose()?,
        slice: row.optional_json("slice")?,
        next_at: row.optional_time("nextAt")?,
        leased_until: row.time("lease")?,
        worker: row.text("worker")?.to_owned(),
        revision: row.number("revision")?,
    })
}
