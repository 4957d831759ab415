//! Reads several partitions concurrently and merges them in order.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use aws_sdk_dynamodb::{operation::query::builders::QueryInputBuilder, types::Select};
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use tasklane_model::{FunctionName, ObjectId, Timestamp};

use crate::{
    StoreError,
    row::{Attributes, EXPIRES, Row, number, text},
    table::Partition,
};

use super::Listed;

/// How many partitions are counted at once.
pub(super) const COUNT_AT_ONCE: usize = 32;
/// The most records to count before the clock is read again.
const COUNT_STEP: u64 = 1000;

/// The parameters for reading every partition of a list.
pub(super) struct Reading<'a> {
    pub(super) listed: &'a Listed,
    pub(super) descending: bool,
}

impl Reading<'_> {
    /// Whether a list in this order has `id` before `other`.
    fn is_before(&self, id: &str, other: &str) -> bool {
        if self.descending { id > other } else { id < other }
    }
}

/// A range of ids, inclusive.
#[derive(Clone)]
pub(super) struct IdRange {
    from: String,
    to: String,
}

impl IdRange {
    pub(super) fn new((from, to): (ObjectId, ObjectId)) -> Self {
        Self { from: from.to_string(), to: to.to_string() }
    }
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
    range: IdRange,
    buffer: VecDeque<Row>,
    start: Option<Attributes>,
    done: bool,
}

impl Merge {
    pub(super) fn of(partitions: impl IntoIterator<Item = String>, range: &IdRange) -> Self {
        Self(partitions.into_iter().map(|partition| Cursor::new(None, "pk", partition, range)).collect())
    }

    /// For partitions of the index by Function.
    pub(super) fn by_function(names: &[FunctionName], range: &IdRange) -> Self {
        Self(names.iter().map(|name| Cursor::new(Some("function"), "function", name.to_string(), range)).collect())
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
        self.forget_ended();
        let mut batch = Vec::new();
        while !self.0.is_empty() && self.0.iter().all(|cursor| !cursor.buffer.is_empty() || cursor.done) {
            match self.take_head(reading) {
                Some(row) => batch.push(row),
                None => break,
            }
        }
        Ok(if batch.is_empty() && self.0.is_empty() { None } else { Some(batch) })
    }

    /// The id of the next row; `None` at the end.
    pub(super) async fn head(&mut self, reading: &Reading<'_>, hint: usize) -> Result<Option<String>, StoreError> {
        try_join_all(self.0.iter_mut().map(|cursor| cursor.fill_to_a_row(reading, hint))).await?;
        self.forget_ended();
        Ok(self.first(reading).and_then(|cursor| cursor.head().map(str::to_owned)))
    }

    /// The next row, of those that have been read.
    pub(super) fn take_head(&mut self, reading: &Reading<'_>) -> Option<Row> {
        self.first(reading).and_then(|cursor| cursor.buffer.pop_front())
    }

    /// Passes over all rows before this id.
    pub(super) fn skip_to(&mut self, id: &str, reading: &Reading<'_>) {
        for cursor in &mut self.0 {
            cursor.skip_to(id, reading);
        }
    }

    /// The partition whose next row comes first.
    fn first(&mut self, reading: &Reading<'_>) -> Option<&mut Cursor> {
        let cursors = self.0.iter_mut().filter(|cursor| !cursor.buffer.is_empty());
        cursors.reduce(|first, other| match (first.head(), other.head()) {
            (Some(a), Some(b)) if reading.is_before(b, a) => other,
            (Some(_) | None, _) => first,
        })
    }

    fn forget_ended(&mut self) {
        self.0.retain(|cursor| !(cursor.done && cursor.buffer.is_empty()));
    }
}

impl Cursor {
    fn new(index: Option<&'static str>, key: &'static str, partition: String, range: &IdRange) -> Self {
        Self { index, key, partition, range: range.clone(), buffer: VecDeque::new(), start: None, done: false }
    }

    /// The id of the next row, if it has been read.
    fn head(&self) -> Option<&str> {
        self.buffer.front().and_then(|row| row.text("sk").ok())
    }

    fn skip_to(&mut self, id: &str, reading: &Reading<'_>) {
        while self.head().is_some_and(|head| reading.is_before(head, id)) {
            self.buffer.pop_front();
        }
        // What has not been read yet begins there too, unless it begins later anyway.
        let (edge, is_over) = if reading.descending {
            (&mut self.range.to, *id < *self.range.from)
        } else {
            (&mut self.range.from, *id > *self.range.to)
        };
        if self.buffer.is_empty() && !self.done && reading.is_before(edge, id) {
            *edge = id.to_owned();
            self.start = None;
            self.done = is_over;
        }
    }

    /// Reads until there is a row, or no more of them: a page may be empty before the end.
    async fn fill_to_a_row(&mut self, reading: &Reading<'_>, hint: usize) -> Result<(), StoreError> {
        while !self.done && self.buffer.is_empty() {
            self.fill(reading, hint).await?;
        }
        Ok(())
    }

    async fn fill(&mut self, reading: &Reading<'_>, hint: usize) -> Result<(), StoreError> {
        if self.done || !self.buffer.is_empty() {
            return Ok(());
        }
        let query = self.query(reading).limit(i32::try_from(hint.max(1)).unwrap_or(i32::MAX));
        let page = reading.listed.table.page(reading.listed.action, &query).await?;
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
                    .filter_expression("attribute_not_exists(#expires) OR #expires > :now")
                    .expression_attribute_names("#expires", EXPIRES)
                    .expression_attribute_values(":now", number(reading.listed.clock.now().as_secs()));
            }
            let page = reading.listed.table.page(reading.listed.action, &query).await?;
            until.counted.fetch_add(u64::try_from(page.count).unwrap_or(0), Ordering::Relaxed);
            self.start = page.last_evaluated_key.filter(|key| !key.is_empty());
            self.done = self.start.is_none();
        }
        Ok(true)
    }

    fn query(&self, reading: &Reading<'_>) -> QueryInputBuilder {
        reading
            .listed
            .table
            .query(&Partition { index: self.index, key: self.key, value: &self.partition })
            .key_condition_expression("#partition = :partition AND #sort BETWEEN :from AND :to")
            .expression_attribute_names("#sort", "sk")
            .expression_attribute_values(":from", text(&self.range.from))
            .expression_attribute_values(":to", text(&self.range.to))
            .scan_index_forward(!reading.descending)
            .set_exclusive_start_key(self.start.clone())
    }
}
