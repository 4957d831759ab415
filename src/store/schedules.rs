//! Schedules.

use crate::model::{Lane, ObjectId, Page, Schedule, Task, Timestamp};
use crate::rql;

use super::StoreError;

/// The table of Schedules.
#[derive(Clone)]
pub struct Schedules {}

impl Schedules {
    /// Adds one.
    pub async fn create(&self, schedule: &Schedule) -> Result<(), StoreError> {
        todo!()
    }

    /// Reads one, strongly consistent.
    pub async fn get(&self, id: ObjectId) -> Result<Option<Schedule>, StoreError> {
        todo!()
    }

    /// Removes one. `false`: there is none.
    pub async fn delete(&self, id: ObjectId) -> Result<bool, StoreError> {
        todo!()
    }

    /// Schedules whose next occurrence is due, the earliest first, at most `limit`.
    pub async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Schedule>, StoreError> {
        todo!()
    }

    /// When the first occurrence of any of them is due.
    pub async fn earliest(&self) -> Result<Option<Timestamp>, StoreError> {
        todo!()
    }

    /// Adds the Task of an occurrence and moves the Schedule on to `next`, in one transaction. `false`: somebody else
    /// did, or the Schedule is gone.
    pub async fn materialise(
        &self,
        schedule: &Schedule,
        next: Timestamp,
        task: &Task,
        queue: Lane,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        todo!()
    }

    /// Moves the Schedule on to `next` without a Task. `false`: somebody else moved it, or it is gone.
    pub async fn skip_to(&self, schedule: &Schedule, next: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        todo!()
    }

    /// The records that meet the query, as callers see them.
    pub async fn list(&self, query: &rql::Query, now: Timestamp) -> Result<Page<serde_json::Value>, StoreError> {
        todo!()
    }
}
