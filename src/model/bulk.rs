//! Bulk operations: one action on many Tasks (contract §17).

use std::{fmt, num::NonZeroU64};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Json, ObjectId, PerSecond, Priority, TaskOrigin, Timestamp, json::even_null};

/// The most ids that a bulk operation can be given.
pub const MAX_IDS: usize = 1000;

/// What a bulk operation does with each Task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum BulkAction {
    /// Cancels it, if it is `new`.
    Cancel,
    /// Creates a new Task like it, if it is final and was not retried.
    Replay,
    /// Moves its start to now, if it is `new` and not due.
    RetryNow,
    /// Moves its start, if it is `new`.
    Reschedule,
    /// Changes its priority, if it is `new`.
    SetPriority,
    /// Creates the Tasks of a Schedule's past occurrences. Begun by `POST /tasklane/v1/schedules/{id}/backfill`.
    Backfill,
}

impl BulkAction {
    /// Every action on Tasks that exist.
    pub const ON_TASKS: [Self; 5] = [Self::Cancel, Self::Replay, Self::RetryNow, Self::Reschedule, Self::SetPriority];

    /// The name of the action.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Replay => "replay",
            Self::RetryNow => "retryNow",
            Self::Reschedule => "reschedule",
            Self::SetPriority => "setPriority",
            Self::Backfill => "backfill",
        }
    }
}

impl fmt::Display for BulkAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a bulk operation does with each Task, and with which values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
// Not tagged inside: serde would buffer `data`, and change its numbers.
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum BulkOrder {
    /// [`BulkAction::Cancel`].
    Cancel,
    /// [`BulkAction::Replay`]. What is absent is as in the Task that is replayed; the start is now.
    Replay {
        /// The `data` of every new Task.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "even_null")]
        data: Option<Json>,
        /// When every new Task is due.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start: Option<Timestamp>,
        /// The priority of every new Task.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priority: Option<Priority>,
    },
    /// [`BulkAction::RetryNow`].
    RetryNow,
    /// [`BulkAction::Reschedule`].
    Reschedule {
        /// The new start.
        start: Timestamp,
    },
    /// [`BulkAction::SetPriority`].
    SetPriority {
        /// The new priority.
        priority: Priority,
    },
    /// [`BulkAction::Backfill`]. Its selection holds the first id of the time of each occurrence.
    Backfill {
        /// The Schedule.
        schedule: ObjectId,
    },
}

impl BulkOrder {
    /// The action.
    pub fn action(&self) -> BulkAction {
        match self {
            Self::Cancel => BulkAction::Cancel,
            Self::Replay { .. } => BulkAction::Replay,
            Self::RetryNow => BulkAction::RetryNow,
            Self::Reschedule { .. } => BulkAction::Reschedule,
            Self::SetPriority { .. } => BulkAction::SetPriority,
            Self::Backfill { .. } => BulkAction::Backfill,
        }
    }

    /// The Schedule whose occurrences it makes up for.
    pub fn schedule(&self) -> Option<ObjectId> {
        match self {
            Self::Backfill { schedule } => Some(*schedule),
            Self::Cancel
            | Self::Replay { .. }
            | Self::RetryNow
            | Self::Reschedule { .. }
            | Self::SetPriority { .. } => None,
        }
    }

    /// When the Tasks are due after it, if it says so.
    pub fn start(&self) -> Option<Timestamp> {
        match self {
            Self::Replay { start, .. } => *start,
            Self::Reschedule { start } => Some(*start),
            Self::Cancel | Self::RetryNow | Self::SetPriority { .. } | Self::Backfill { .. } => None,
        }
    }

    /// The priority of the Tasks after it, if it says so.
    pub fn priority(&self) -> Option<Priority> {
        match self {
            Self::Replay { priority, .. } => *priority,
            Self::SetPriority { priority } => Some(*priority),
            Self::Cancel | Self::RetryNow | Self::Reschedule { .. } | Self::Backfill { .. } => None,
        }
    }
}

/// The Tasks of a bulk operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BulkSelection {
    /// Those that match this RQL, and that are older than the operation.
    Rql(String),
    /// These, ascending and each once: at most [`MAX_IDS`].
    Ids(Vec<ObjectId>),
}

/// A bulk operation to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct NewBulk {
    /// What it does.
    pub order: BulkOrder,
    /// With which Tasks.
    pub selection: BulkSelection,
    /// How many Tasks it handles in a second, at most.
    pub per_second: Option<PerSecond>,
    /// Why, in the caller's words: at most 256 characters.
    pub reason: Option<String>,
    /// Whether the Tasks are only counted.
    pub dry_run: bool,
}

/// The response to the creation of a bulk operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BulkCreated {
    /// The id of the operation. Absent if the Tasks were only counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<ObjectId>,
    /// How many Tasks match now.
    pub matches: u64,
    /// Whether that is their number. If not, counting took too long, and there are more.
    pub matches_is_exact: bool,
}

/// Whether a bulk operation goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum BulkStatus {
    /// It does.
    Running,
    /// Every Task was handled.
    Complete,
    /// A caller stopped it, or it took longer than 30 days. What was done stays.
    Stopped,
}

/// Why a bulk operation passed over a Task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SkipReason {
    /// It has started or ended, so that it can no longer be changed or canceled.
    NotNew,
    /// It has not ended, so that it cannot be replayed.
    NotFinal,
    /// It was retried: its last retry can be replayed.
    Retried,
    /// It is due already, so that it need not be moved to now.
    Due,
    /// There is no such Task, or the Schedule of a `backfill` was deleted.
    NotFound,
    /// Its Function does not exist, so that no Task can be created.
    FunctionMissing,
    /// A later operation has changed it.
    Superseded,
    /// It is younger than the operation.
    Younger,
    /// Its record or its data cannot be read.
    Unreadable,
    /// The data does not fit its Function's `dataSchema`.
    DoesNotFit,
}

/// How many Tasks a bulk operation passed over, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Skipped {
    /// Why.
    pub reason: SkipReason,
    /// How many.
    #[schema(value_type = u64, minimum = 1)]
    pub count: NonZeroU64,
}

/// A bulk operation as callers see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bulk {
    /// Its id.
    pub id: ObjectId,
    /// What it does.
    pub action: BulkAction,
    /// Whether it goes on.
    pub status: BulkStatus,
    /// How many Tasks matched when it was created; or, once it is complete and counting had taken too long, how many it
    /// found.
    pub matches: u64,
    /// Whether that is their number. If not, counting took too long, and there are more.
    pub matches_is_exact: bool,
    /// How many Tasks it has acted on.
    pub done: u64,
    /// How many Tasks it has passed over, and why.
    pub skipped: Vec<Skipped>,
    /// The RQL of its Tasks, if they were not given by id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rql: Option<String>,
    /// The Schedule of a `backfill`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schedule_id: Option<ObjectId>,
    /// When its Tasks are due, if it says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start_timestamp: Option<Timestamp>,
    /// The priority of its Tasks, if it says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<Priority>,
    /// How many Tasks it handles in a second, at most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub per_second: Option<PerSecond>,
    /// Why, in the words of its creator.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Who created it, and thereby the Tasks that it replays.
    #[serde(flatten)]
    pub origin: TaskOrigin,
    /// When it was created.
    pub creation_timestamp: Timestamp,
    /// When its progress was last written down.
    pub update_timestamp: Timestamp,
    /// When it was complete or was stopped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_timestamp: Option<Timestamp>,
}

impl Bulk {
    /// A bulk operation that has done nothing yet.
    pub fn new(id: ObjectId, new: &NewBulk, created: BulkCreated, origin: TaskOrigin, now: Timestamp) -> Self {
        let rql = match &new.selection {
            BulkSelection::Rql(rql) => Some(rql.clone()),
            BulkSelection::Ids(_) => None,
        };
        Self {
            id,
            action: new.order.action(),
            status: BulkStatus::Running,
            matches: created.matches,
            matches_is_exact: created.matches_is_exact,
            done: 0,
            skipped: Vec::new(),
            rql,
            schedule_id: new.order.schedule(),
            start_timestamp: new.order.start(),
            priority: new.order.priority(),
            per_second: new.per_second,
            reason: new.reason.clone(),
            origin,
            creation_timestamp: now,
            update_timestamp: now,
            ended_timestamp: None,
        }
    }

    /// Adds what became of one Task.
    pub fn count(&mut self, outcome: Result<(), SkipReason>) {
        let Err(reason) = outcome else {
            self.done += 1;
            return;
        };
        match self.skipped.iter_mut().find(|skipped| skipped.reason == reason) {
            Some(skipped) => skipped.count = skipped.count.saturating_add(1),
            None => self.skipped.push(Skipped { reason, count: NonZeroU64::MIN }),
        }
        self.skipped.sort_by_key(|skipped| skipped.reason);
    }

    /// How many Tasks were handled.
    pub fn handled(&self) -> u64 {
        self.done + self.skipped.iter().map(|skipped| skipped.count.get()).sum::<u64>()
    }

    /// Ends it.
    pub fn end(&mut self, status: BulkStatus, now: Timestamp) {
        self.status = status;
        self.ended_timestamp = Some(now);
        if status == BulkStatus::Complete && !self.matches_is_exact {
            self.matches = self.handled();
            self.matches_is_exact = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(is_exact: bool) -> Bulk {
        let (id, now) = (ObjectId::first_at(Timestamp::EPOCH), Timestamp::EPOCH);
        let selection = BulkSelection::Rql("status=failed".to_owned());
        let order = BulkOrder::Replay { data: None, start: None, priority: None };
        let new = NewBulk { order, selection, per_second: None, reason: None, dry_run: false };
        let created = BulkCreated { id: Some(id), matches: 2, matches_is_exact: is_exact };
        Bulk::new(id, &new, created, TaskOrigin::default(), now)
    }

    #[test]
    fn outcomes_are_counted_by_reason() {
        let mut bulk = bulk(true);
        for outcome in [Ok(()), Err(SkipReason::Retried), Err(SkipReason::NotFinal), Err(SkipReason::Retried)] {
            bulk.count(outcome);
        }
        let skipped: Vec<_> = bulk.skipped.iter().map(|skipped| (skipped.reason, skipped.count.get())).collect();
        assert_eq!((bulk.done, skipped), (1, vec![(SkipReason::NotFinal, 1), (SkipReason::Retried, 2)]));
        assert_eq!(bulk.handled(), 4);
    }

    #[test]
    fn a_complete_operation_knows_how_many_tasks_it_found() {
        for (is_exact, status, matches) in [
            (true, BulkStatus::Complete, (2, true)),
            (false, BulkStatus::Complete, (1, true)),
            (false, BulkStatus::Stopped, (2, false)),
        ] {
            let mut bulk = bulk(is_exact);
            bulk.count(Ok(()));
            bulk.end(status, Timestamp::EPOCH);
            assert_eq!((bulk.matches, bulk.matches_is_exact), matches);
        }
    }

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let data = Some(Json::parse(r#"{"n": 1.50}"#.to_owned()).unwrap());
        for order in [
            BulkOrder::Cancel,
            BulkOrder::Replay { data, start: Some(Timestamp::EPOCH), priority: None },
            BulkOrder::Replay { data: Some(Json::null()), start: None, priority: Some(Priority::MAX) },
            BulkOrder::Reschedule { start: Timestamp::EPOCH },
            BulkOrder::Backfill { schedule: ObjectId::LAST },
        ] {
            let text = serde_json::to_string(&order).unwrap();
            let read: BulkOrder = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
    }
}
