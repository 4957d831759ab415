//! Reads several partitions concurrently and merges them in order.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::Select};
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use tasklane_model::{FunctionName, Timestamp};

use crate::{
    StoreError,
    error::failed,
    row::{Attributes, Row, number, text},
    table::{Partition, small},
};

use super::Listed;

/// How many partitions are counted at once.
pub(super) const COUNT_AT_ONCE: usize = 32;
/// The most records to count before the clock is read again.
const COUNT_STEP: u64 = 1000;

/// The parameters for reading every partition of a list.
pub(super) struct Reading<'a> {
    pub(super) listed: &'a Listed,
    pub(super) range: (String, String),
    pub(super) descending: bool,
}

/// Partitions that are read concurrently.
pub(super) struct Merge(Vec<Cursor>);

/// When counting stops.
pub(super) struct CountUntil {
    pub(super) most: u64,
    pub(super) deadline: Timestamp,
    /// The count so far, over all partitions.
    pub(super) counted: AtomicU64,
}

/// The position in one partition.
struct Cursor {
    index: Option<&'static str>,
    key: &'static str,
    partition: String,
    buffer: VecDeque<Row>,
    start: Option<Attributes>,
    done: bool,
}

impl Merge {
    pub(super) fn of(partitions: impl IntoIterator<Item = String>) -> Self {
        Self(partitions.into_iter().map(|partition| Cursor::new(None, "pk", partition)).collect())
    }

    /// For partitions of the index by Function.
    pub(super) fn by_function(names: &[FunctionName]) -> Self {
        Self(names.iter().map(|name| Cursor::new(Some("function"), "function", name.to_string())).collect())
    }

    /// How many rows have been read and not returned, without expired ones.
    pub(super) fn buffered(&self, now: Timestamp) -> usize {
        self.0.iter().flat_map(|cursor| &cursor.buffer).filter(|row| !row.is_expired(now)).count()
    }

    /// Counts the remaining rows, concurrently. `false` if there are more.
    pub(super) async fn count_rows(self, reading: &Reading<'_>, until: &CountUntil) -> Result<bool, StoreError> {
        let at_once = self.0.len().clamp(1, COUNT_AT_ONCE) as u64;
        let counts = stream::iter(self.0).map(|cursor| cursor.count_rows(reading, until, at_once));
        counts.buffer_unordered(COUNT_AT_ONCE).try_fold(true, async |all, one| Ok(all && one)).await
    }

    /// The next rows in order: all whose order is known without reading more of any partition.
    pub(super) async fn next(&mut self, reading: &Reading<'_>, hint: usize) -> Result<Option<Vec<Row>>, StoreError> {
        let fills = self.0.iter_mut().map(|cursor| cursor.fill(reading, hint));
        try_join_all(fills).await?;
        self.0.retain(|cursor| !(cursor.done && cursor.buffer.is_empty()));
        let mut batch = Vec::new();
        while !self.0.is_empty() && self.0.iter().all(|cursor| !cursor.buffer.is_empty() || cursor.done) {
            let head = |cursor: &Cursor| cursor.buffer.front().and_then(|row| row.text("sk").ok().map(str::to_owned));
            let heads = self.0.iter_mut().filter(|cursor| !cursor.buffer.is_empty());
            let next = if reading.descending {
                heads.max_by_key(|cursor| head(cursor))
            } else {
                heads.min_by_key(|cursor| head(cursor))
            };
            match next.and_then(|cursor| cursor.buffer.pop_front()) {
                Some(row) => batch.push(row),
                None => break,
            }
        }
        Ok(if batch.is_empty() && self.0.is_empty() { None } else { Some(batch) })
    }
}

impl Cursor {
    fn new(index: Option<&'static str>, key: &'static str, partition: String) -> Self {
        Self { index, key, partition, buffer: VecDeque::new(), start: None, done: false }
    }

    async fn fill(&mut self, reading: &Reading<'_>, hint: usize) -> Result<(), StoreError> {
        if self.done || !self.buffer.is_empty() {
            return Ok(());
        }
        let query = self.query(reading).limit(i32::try_from(hint.max(1)).unwrap_or(i32::MAX));
        let page = small(query.send()).await.map_err(|error| failed(reading.listed.action, &error))?;
        for item in page.items.unwrap_or_default() {
            self.buffer.push_back(match self.index {
                None => reading.listed.table.row(item)?,
                Some(_) => Row::projected(reading.listed.table.name(), item),
            });
        }
        self.start = page.last_evaluated_key.filter(|key| !key.is_empty());
        self.done = self.start.is_none();
        Ok(())
    }

    /// Counts rows, as one of `at_once` concurrent cursors. Returns whether it reached the end.
    async fn count_rows(mut self, reading: &Reading<'_>, until: &CountUntil, at_once: u64) -> Result<bool, StoreError> {
        while !self.done {
            let counted = until.counted.load(Ordering::Relaxed);
            if counted > until.most || reading.listed.clock.now() >= until.deadline {
                return Ok(false);
            }
            // One more than is counted, which shows whether that is all, divided among the concurrent cursors.
            let step = ((until.most + 1 - counted) / at_once).clamp(1, COUNT_STEP);
            let mut query = self.query(reading).select(Select::Count).limit(i32::try_from(step).unwrap_or(i32::MAX));
            if reading.listed.expire {
                query = query
                    .filter_expression("attribute_not_exists(expires) OR expires > :now")
                    .expression_attribute_values(":now", number(reading.listed.clock.now().as_secs()));
            }
            let page = small(query.send()).await.map_err(|error| failed(reading.listed.action, &error))?;
            until.counted.fetch_add(u64::try_from(page.count).unwrap_or(0), Ordering::Relaxed);
            self.start = page.last_evaluated_key.filter(|key| !key.is_empty());
            self.done = self.start.is_none();
        }
        Ok(true)
    }

    fn query(&self, reading: &Reading<'_>) -> QueryFluentBuilder {
        reading
            .listed
            .table
            .query(&Partition { index: self.index, key: self.key, value: &self.partition })
            .key_condition_expression("#partition = :partition AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":from", text(&reading.range.0))
            .expression_attribute_values(":to", text(&reading.range.1))
            .scan_index_forward(!reading.descending)
            .set_exclusive_start_key(self.start.clone())
    }
}
