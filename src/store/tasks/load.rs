//! Counts what is in the lanes now, by Function.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tasklane_model::{FunctionName, TaskStatus, Timestamp};

use crate::{Place, QueueLane, StoreError, Tasks, lanes::IndexLane, row::Row};

use super::{queue::Keys, row};

/// How many partitions of the index are read at once.
const AT_ONCE: usize = 8;

/// How many Tasks there are, up to a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How many were counted, by Function.
    pub by_function: BTreeMap<FunctionName, u64>,
    /// Whether these are all.
    pub is_exact: bool,
    /// When the oldest of those that were counted was due, if they are due.
    pub oldest_due: Option<Timestamp>,
}

impl Load {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.by_function.values().sum()
    }

    fn add(&mut self, row: &Row) -> Result<(), StoreError> {
        *self.by_function.entry(row::function(row)?).or_default() += 1;
        Ok(())
    }
}

impl Tasks {
    /// The Tasks that are not due yet, counted up to `most`.
    pub async fn waiting_load(&self, most: usize) -> Result<Load, StoreError> {
        self.lane_load(&IndexLane::Waiting, most).await
    }

    /// The due Tasks in these lanes that wait for their turn, counted up to `most`.
    pub async fn ready_load(&self, lanes: &[QueueLane], most: usize) -> Result<Load, StoreError> {
        self.due_load(lanes, Keys::Below(Place::FIRST_HELD), most).await
    }

    /// The due Tasks in these lanes that are behind the gates of their keys, counted up to `most`.
    pub async fn held_load(&self, lanes: &[QueueLane], most: usize) -> Result<Load, StoreError> {
        self.due_load(lanes, Keys::With(Place::FIRST_HELD), most).await
    }

    async fn due_load(&self, lanes: &[QueueLane], keys: Keys<'_>, most: usize) -> Result<Load, StoreError> {
        let shards = self.days.lane_shards().await?;
        let counted = AtomicUsize::new(0);
        let partitions = lanes.iter().flat_map(|lane| (0..shards).map(|shard| IndexLane::Ready(lane).partition(shard)));
        let reads: Vec<_> = partitions
            .map(|partition| async {
                // One more than there is room for shows whether there are more.
                let room = (most + 1).saturating_sub(counted.load(Ordering::Relaxed));
                let rows = self.lane_shard_rows(partition, keys.clone(), Some(room)).await?;
                counted.fetch_add(rows.len(), Ordering::Relaxed);
                Ok(rows)
            })
            .collect();
        let read: Vec<Vec<Row>> = stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await?;
        let rows: Vec<Row> = read.into_iter().flatten().collect();
        let mut load = Load { is_exact: rows.len() <= most, ..Load::default() };
        for row in rows.iter().take(most) {
            load.add(row)?;
            let (_, key) = Place::of(row.text("laneKey")?);
            load.oldest_due = load.oldest_due.into_iter().chain(key.start()).min();
        }
        Ok(load)
    }

    /// The Tasks in progress, counted up to `most`.
    pub async fn running_load(&self, most: usize) -> Result<Load, StoreError> {
        let mut load = self.lane_load(&IndexLane::Running, most).await?;
        let room = most.saturating_sub(usize::try_from(load.count()).unwrap_or(usize::MAX));
        let registered = self.registered().await?;
        let ids = &registered[..registered.len().min(room)];
        load.is_exact &= ids.len() == registered.len();
        // The register has Tasks that have ended, too.
        for row in &self.rows_with(ids).await? {
            if matches!(row.parse("status"), Ok(TaskStatus::InProgress)) {
                load.add(row)?;
            }
        }
        Ok(load)
    }

    async fn lane_load(&self, lane: &IndexLane<'_>, most: usize) -> Result<Load, StoreError> {
        let rows = self.lane_rows(lane, None, Some(most + 1)).await?;
        let mut load = Load { is_exact: rows.len() <= most, ..Load::default() };
        rows.iter().take(most).try_for_each(|row| load.add(row))?;
        Ok(load)
    }
}
