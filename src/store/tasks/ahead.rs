//! Counts the due Tasks that come before another one.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::types::Select;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::{QueueLane, ReadyKey, StoreError, Tasks, lanes::IndexLane, row::text, table::Partition};

/// How many partitions of the index are counted at once.
const AT_ONCE: usize = 8;

impl Tasks {
    /// How many due Tasks in these lanes come before this position, counted up to `most`.
    pub async fn ahead_of(&self, key: &ReadyKey, lanes: &[QueueLane], most: u64) -> Result<u64, StoreError> {
        let shards = self.days.lane_shards().await?;
        let counted = AtomicU64::new(0);
        let partitions: Vec<_> =
            lanes.iter().flat_map(|lane| (0..shards).map(|shard| IndexLane::Ready(lane).partition(shard))).collect();
        let counts: Vec<_> =
            partitions.iter().map(|partition| self.count_ahead(partition, key, most, &counted)).collect();
        stream::iter(counts).buffer_unordered(AT_ONCE).try_for_each(|()| std::future::ready(Ok(()))).await?;
        Ok(counted.into_inner().min(most))
    }

    async fn count_ahead(
        &self,
        partition: &str,
        key: &ReadyKey,
        most: u64,
        counted: &AtomicU64,
    ) -> Result<(), StoreError> {
        let mut start = None;
        loop {
            let left = most.saturating_sub(counted.load(Ordering::Relaxed));
            if left == 0 {
                return Ok(());
            }
            let query = self
                .table
                .query(&Partition { index: Some("lane"), key: "lane", value: partition })
                .key_condition_expression("#partition = :partition AND #key < :key")
                .expression_attribute_names("#key", "laneKey")
                .expression_attribute_values(":key", text(key.as_str()))
                .select(Select::Count)
                .limit(i32::try_from(left).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start);
            let page = self.table.page("count the tasks that come first", &query).await?;
            counted.fetch_add(u64::try_from(page.count).unwrap_or(0), Ordering::Relaxed);
            match page.last_evaluated_key {
                Some(key) if !key.is_empty() => start = Some(key),
                _ => return Ok(()),
            }
        }
    }
}
