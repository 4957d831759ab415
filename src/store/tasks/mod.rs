//! The table of Tasks, which is also the queue.
//!
//! A Task is one row for its whole life. Its lane (see [`super::lanes`]) says which part of its life it is in; each
//! move from one lane to another is one conditional write.

mod ahead;
mod chain;
mod create;
pub(super) mod data;
mod edit;
mod expiring;
mod flow;
mod in_progress;
mod list;
mod load;
pub(super) mod marks;
mod outcome;
pub(crate) mod queue;
pub(super) mod row;
mod watch;

pub use data::DataPlace;
pub use edit::{Edited, NewData, TaskEdit};
pub use expiring::{Expired, Expiring};
pub use list::Matching;
pub use load::Load;
pub use outcome::{Consequences, Following, NextTask};
pub use queue::{Heads, Shards};
pub use watch::Promoted;

use std::{sync::Arc, time::Duration};

use tasklane_model::{FlowKey, FunctionName, Lane, ObjectId, Task, TaskEvents, TaskStatus, Timestamp};
use tasklane_ports::Clock;

use data::DataRows;
use marks::Marks;

use super::{
    Place, QueueLane, ReadyKey, Run, Runs, StoreError, calls::CallTokens, days::Days, list::Budgets,
    own_lanes::OwnLanes, row::number, table::Table,
};

#[derive(Clone)]
pub struct Tasks {
    pub(super) table: Table,
    pub(super) days: Days,
    pub(super) data: DataRows,
    pub(super) marks: Marks,
    pub(super) own_lanes: OwnLanes,
    pub(super) runs: Runs,
    pub(super) calls: CallTokens,
    pub(super) budgets: Budgets,
    pub(super) retention: Option<Duration>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A Task and its internal state.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRecord {
    pub task: Task,
    /// The lane for the Task when it is due.
    pub queue: Lane,
    /// Its run, once it has started.
    pub run: Option<Run>,
    /// Lambda's id of the run, once its outcome is known.
    pub request_id: Option<String>,
    /// The place of its data.
    pub data: DataPlace,
    /// What was not acknowledged of what was published about its end.
    pub unpublished: TaskEvents,
    /// The key that it takes turns by, once it was due.
    pub flow: Option<FlowKey>,
    /// Whether it waits behind the gate of that key.
    pub is_held: bool,
}

/// A due Task that may be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub id: ObjectId,
    pub function: FunctionName,
    /// The lane that it is in.
    pub lane: QueueLane,
    /// Where in that lane it is.
    pub place: Place,
    /// Its position there: candidates of all lanes are claimed in this order.
    pub key: ReadyKey,
}

impl Candidate {
    /// Its key in the index.
    fn lane_key(&self) -> String {
        self.place.lane_key(&self.key)
    }
}

/// The result of a claim.
#[derive(Debug)]
pub enum ClaimOutcome {
    /// The Task is in progress.
    Claimed(Box<TaskRecord>),
    /// It has waited longer than it may.
    Expired,
    /// Another runner has it, or it has left the lane.
    Lost,
}

/// The result of a request to cancel.
#[derive(Clone, Debug, PartialEq)]
pub enum CancelOutcome {
    /// It will never run. The Task as it is, unless it was canceled by an earlier call of the same operation.
    Canceled(Option<Box<Task>>),
    /// The Task does not exist.
    Unknown,
    /// It has another status already.
    NotNew(TaskStatus),
    /// It is `new`, and another Task follows when it ends: see [`Tasks::cancel_then`]. The Task as it is.
    IsFollowed(Box<Task>),
}

impl Tasks {
    pub async fn get(&self, id: ObjectId) -> Result<Option<TaskRecord>, StoreError> {
        let Some((partition, _)) = self.days.partition_of(id).await? else { return Ok(None) };
        match self.table.get("read the task", &partition, &id.to_string()).await? {
            Some(row) if !row.is_expired(self.clock.now()) => Ok(Some(row::read(&self.data.attach(row).await?)?)),
            Some(_) | None => Ok(None),
        }
    }

    /// The Functions that have, or had, their own ready lane, including deleted ones and those without Tasks in it.
    pub async fn own_lanes(&self) -> Result<Vec<FunctionName>, StoreError> {
        self.own_lanes.all().await
    }

    /// The expiry of a Task that ended at `now`.
    fn expires(&self, now: Timestamp) -> Option<Timestamp> {
        self.retention.map(|retention| now.saturating_add(retention))
    }

    /// The `expires` of a Task that ended at `now`.
    fn expiry(&self, now: Timestamp) -> Option<aws_sdk_dynamodb::types::AttributeValue> {
        self.expires(now).map(|expires| number(expires.as_secs()))
    }
}
