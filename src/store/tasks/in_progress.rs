//! Finds the Tasks in progress, in the register of runs or in their lane.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use tasklane_model::{ObjectId, TaskStatus, Timestamp};
use tracing::warn;

use crate::{
    Run, RunnerId, RunsIn, StoreError, TaskRecord, Tasks,
    lanes::{IndexLane, timed},
    row::{Row, number, text, time},
    runs::{KEPT_AFTER, RegisterRow},
};

use super::{row, watch::first_after};

/// How many Tasks in progress are read to find the latest run.
const LOOKED_AT: usize = 100;

impl Tasks {
    /// At most `limit` Tasks in progress with an expired lease, oldest first; without data that has a row of its own.
    ///
    /// On the way, pages of the register whose runs have ended are removed.
    pub async fn expired_runs(&self, now: Timestamp, limit: usize) -> Result<Vec<TaskRecord>, StoreError> {
        let rows = self.lane_rows(&IndexLane::Running, Some(&first_after(now)), Some(limit)).await?;
        let mut records = self.records_of(&rows).await?;
        for page in self.runs.all().await? {
            // A page is read again until its runs have been ended; the pages after it have their turn then.
            if records.len() >= limit {
                break;
            }
            records.extend(self.expired_of(&page, now).await?);
        }
        // The index lags behind the rows, so check the rows.
        records.retain(|record| lease_of(record).is_some_and(|lease| lease <= now));
        records.sort_by_key(|record| (lease_of(record), record.task.id));
        records.dedup_by_key(|record| record.task.id);
        records.truncate(limit);
        Ok(records)
    }

    /// The Tasks in progress of one runner, by id; without data that has a row of its own.
    pub async fn runs_of(&self, runner: &RunnerId) -> Result<Vec<TaskRecord>, StoreError> {
        let mut rows = self.lane_rows(&IndexLane::Running, None, None).await?;
        rows.retain(|row| row.optional_text("runner").ok().flatten() == Some(runner.as_str()));
        let mut records = self.records_of(&rows).await?;
        let pages = self.runs.all().await?.into_iter().filter(|page| page.runner == *runner);
        let registered: Vec<_> = pages.flat_map(|page| page.runs.into_keys()).collect();
        records.extend(self.records_with(&registered).await?);
        records.retain(|record| {
            lease_of(record).is_some() && record.run.as_ref().is_some_and(|run| run.runner == *runner)
        });
        records.sort_by_key(|record| record.task.id);
        records.dedup_by_key(|record| record.task.id);
        Ok(records)
    }

    /// The ids of Tasks that may be in progress, as the register has them.
    pub(super) async fn registered(&self) -> Result<Vec<ObjectId>, StoreError> {
        Ok(self.runs.all().await?.into_iter().flat_map(|page| page.runs.into_keys()).collect())
    }

    /// The Tasks of a page whose leases have expired. The page is removed if nothing in it can be in progress.
    async fn expired_of(&self, page: &RegisterRow, now: Timestamp) -> Result<Vec<TaskRecord>, StoreError> {
        let due: Vec<_> = page.runs.iter().filter(|(_, lease)| **lease <= now).map(|(id, _)| *id).collect();
        let records = self.records_with(&due).await?;
        let statuses: BTreeMap<_, _> = records.iter().map(|record| (record.task.id, record.task.status)).collect();
        let has_ended = |(id, lease): (&ObjectId, &Timestamp)| match statuses.get(id) {
            Some(TaskStatus::InProgress) => false,
            Some(status) if status.is_final() => true,
            // Its process may have been suspended before it claimed or created the Task.
            Some(_) | None => lease.saturating_add(KEPT_AFTER) <= now,
        };
        if page.runs.iter().all(has_ended)
            && let Err(error) = self.runs.remove(page).await
        {
            warn!(%error, "a page of the register of runs was not removed; the next tick will do it");
        }
        Ok(records)
    }

    /// When the latest run of a Task in progress began; `None` if no Task is in progress.
    pub async fn last_claim(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.lane_rows(&IndexLane::Running, None, Some(LOOKED_AT)).await?;
        let mut ids = rows.iter().map(row::id).collect::<Result<Vec<_>, _>>()?;
        let mut runs: Vec<_> = self.runs.all().await?.into_iter().flat_map(|page| page.runs).collect();
        // The latest leases are most likely those of the latest runs.
        runs.sort_by_key(|(_, lease)| std::cmp::Reverse(*lease));
        ids.extend(runs.into_iter().take(LOOKED_AT).map(|(id, _)| id));
        let records = self.records_with(&ids).await?;
        Ok(records.into_iter().filter_map(|record| record.run).map(|run| run.started).max())
    }

    /// The Tasks with these ids that exist; without data that has a row of its own.
    async fn records_with(&self, ids: &[ObjectId]) -> Result<Vec<TaskRecord>, StoreError> {
        self.rows_with(ids).await?.iter().map(row::read_as_it_is).collect()
    }

    /// The rows of the Tasks with these ids that exist, in no particular order.
    pub(super) async fn rows_with(&self, ids: &[ObjectId]) -> Result<Vec<Row>, StoreError> {
        let mut keys = Vec::with_capacity(ids.len());
        for id in ids {
            let place = self.days.partition_of(*id).await?;
            keys.extend(place.map(|(partition, _)| (partition, id.to_string())));
        }
        self.table.get_all("read the tasks", keys).await
    }

    /// The attributes of a Task in progress. Its run is registered before.
    pub(super) fn in_progress(&self, shard: u8, id: ObjectId, run: &Run) -> Vec<(&'static str, AttributeValue)> {
        debug_assert!(self.runs.knows(id, run), "if its process died, nobody would find the run of {id}");
        let mut attributes = vec![
            ("attempt", text(run.attempt.as_str())),
            ("runner", text(run.runner.as_str())),
            ("started", time(run.started)),
            ("lease", time(run.lease_expires)),
        ];
        attributes.extend(run.version.map(|version| (row::VERSION, number(version.get()))));
        match self.runs.kept_in() {
            RunsIn::Lane => attributes.extend([
                ("lane", text(IndexLane::Running.partition(shard))),
                ("laneKey", text(timed(run.lease_expires, id))),
            ]),
            RunsIn::Register => {}
        }
        attributes
    }
}

/// The end of the lease, if the Task is in progress.
fn lease_of(record: &TaskRecord) -> Option<Timestamp> {
    let run = record.run.as_ref().filter(|_| record.task.status == TaskStatus::InProgress);
    run.map(|run| run.lease_expires)
}
