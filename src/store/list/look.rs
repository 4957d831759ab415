//! Filters records.
//!
//! A caller's query determines how much processor time that takes. So it is done in slices of a few milliseconds, not
//! on the threads that serve requests, and one slice at a time. Lists wait for their next slice in order of arrival. A
//! list that has used up its share ends with what it found.

use std::{collections::BTreeSet, sync::Arc};

use tasklane_model::{Json, ObjectId, Timestamp};
use tasklane_rql::{Filter, Query, SortKey, SortValues};
use tokio::sync::Semaphore;

use crate::{
    StoreError,
    row::Row,
    tasks::data::{DataRows, is_missing, missing_bytes},
};

use super::Listed;

/// The approximate cost of a slice, in bytes times comparisons: a few milliseconds.
const SLICE: u64 = 4 << 20;
/// Work that costs no more than this is done on the caller's thread: less than a millisecond.
const AT_ONCE: u64 = 128 << 10;
/// The most that one list may cost in total, in bytes times comparisons.
const MOST: u64 = 4 << 30;

/// The right to filter records: one list at a time has it.
#[derive(Clone)]
pub(crate) struct Turns {
    one: Arc<Semaphore>,
    slow: SlowFilters,
}

/// Where a filter runs that takes longer than a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowFilters {
    /// On a thread of its own, so that it delays no request.
    OnAnotherThread,
    /// On the caller's thread, for a simulation, where the same must always happen in the same order.
    OnTheCallersThread,
}

impl Turns {
    pub(crate) fn new(slow: SlowFilters) -> Self {
        Self { one: Arc::new(Semaphore::new(1)), slow }
    }
}

/// What to keep of the matching records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Records,
    /// Only the values that they are sorted by.
    SortValues,
}

pub(super) enum Kept {
    Record(Json),
    /// A record without its data, which has not been read yet.
    Unread(Row),
    SortValues(SortValues),
}

/// The result of filtering a batch of records.
pub(super) struct Looked {
    /// The matching records, in order.
    pub(super) found: Vec<(ObjectId, Kept)>,
    /// The last record that was examined, if any.
    pub(super) last: Option<ObjectId>,
    /// `false` if part of the batch was not examined.
    pub(super) is_all: bool,
}

/// Filters the records of one list.
pub(super) struct Look {
    inner: Arc<Inner>,
    /// For reading large data, if the filter or the sort uses it.
    data: Option<DataRows>,
    turns: Turns,
    spent: u64,
}

type Decode = fn(&Row) -> Result<Json, StoreError>;

/// The part that another thread needs.
struct Inner {
    query: Query,
    /// The top-level fields of a record that the filter and the sort use.
    fields: BTreeSet<String>,
    /// How often each byte of a record may be compared.
    comparisons: u64,
    keep: Keep,
    decode: Decode,
    now: Timestamp,
}

impl Look {
    pub(super) fn new(listed: &Listed, query: &Query, keep: Keep, now: Timestamp) -> Self {
        let look = Self::by(listed.decode, listed.budgets.turns.clone(), query, keep, now);
        let data = listed.data.clone().filter(|_| look.inner.fields.contains("data"));
        Self { data, ..look }
    }

    fn by(decode: Decode, turns: Turns, query: &Query, keep: Keep, now: Timestamp) -> Self {
        let filtered = query.filter.as_ref();
        let fields = filtered.into_iter().flat_map(|filter| filter.fields().into_iter().map(str::to_owned));
        let sorted = query.sort.iter().filter_map(|key| key.field.steps().first().cloned());
        let comparisons = filtered.map_or(0, Filter::comparisons) + query.sort.len();
        let inner = Inner {
            fields: fields.chain(sorted).collect(),
            comparisons: u64::try_from(comparisons).unwrap_or(u64::MAX),
            query: query.clone(),
            keep,
            decode,
            now,
        };
        Self { inner: Arc::new(inner), data: None, turns, spent: 0 }
    }

    /// Filters a batch until it is `over` or the list has used up its share.
    pub(super) async fn examine(&mut self, rows: Vec<Row>, over: impl Fn() -> bool) -> Result<Looked, StoreError> {
        let mut looked = Looked { found: Vec::new(), last: None, is_all: true };
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            // The first slice of a list is always examined, so that the list can continue after it.
            if self.spent > MOST || (self.spent > 0 && over()) {
                looked.is_all = false;
                return Ok(looked);
            }
            let (mut slice, mut cost) = (Vec::new(), 0);
            while let Some(row) = rows.next_if(|_| cost < SLICE) {
                let unread = if self.data.is_some() { missing_bytes(&row) } else { 0 };
                cost += (row.size() + unread).saturating_mul(1 + self.inner.comparisons);
                slice.push(row);
            }
            self.spent += cost;
            looked.last = slice.last().map(id_of).transpose()?;
            if let Some(data) = &self.data {
                slice = data.attach_all(slice).await?;
            }
            let found = if cost <= AT_ONCE { self.inner.look(&slice)? } else { self.elsewhere(slice).await? };
            looked.found.extend(found);
        }
        Ok(looked)
    }

    async fn elsewhere(&self, slice: Vec<Row>) -> Result<Vec<(ObjectId, Kept)>, StoreError> {
        let failed =
            |cause: Box<dyn std::error::Error + Send + Sync>| StoreError::unavailable("look into records", cause);
        let turn = Arc::clone(&self.turns.one).acquire_owned().await.map_err(|error| failed(error.into()))?;
        let inner = Arc::clone(&self.inner);
        let look = move || {
            let found = inner.look(&slice);
            // Released only now, because the work goes on even if the caller is gone.
            drop(turn);
            found
        };
        match self.turns.slow {
            SlowFilters::OnAnotherThread => {
                tokio::task::spawn_blocking(look).await.map_err(|error| failed(error.into()))?
            }
            SlowFilters::OnTheCallersThread => look(),
        }
    }
}

impl Inner {
    fn look(&self, rows: &[Row]) -> Result<Vec<(ObjectId, Kept)>, StoreError> {
        let mut found = Vec::new();
        for row in rows.iter().filter(|row| !row.is_expired(self.now)) {
            let record = (self.decode)(row)?;
            let node = record.node_of(|name| self.fields.contains(name));
            if self.query.matches(&node) {
                let kept = match self.keep {
                    Keep::Records if is_missing(row)? => Kept::Unread(row.clone()),
                    Keep::Records => {
                        drop(node);
                        Kept::Record(record)
                    }
                    Keep::SortValues => Kept::SortValues(SortKey::values(&self.query.sort, &node)),
                };
                found.push((id_of(row)?, kept));
            }
        }
        Ok(found)
    }
}

pub(super) fn id_of(row: &Row) -> Result<ObjectId, StoreError> {
    row.parse("sk")
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Mutex,
        thread::{self, ThreadId},
    };

    use futures::FutureExt as _;

    use super::*;
    use crate::row::{Attributes, text};
    use tasklane_rql::Schema;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn row(number: u64, bytes: usize) -> Row {
        let id = ObjectId::new(NOW, number).to_string();
        let attributes = [("sk", text(id)), ("data", text("x".repeat(bytes)))];
        let attributes: Attributes = attributes.map(|(name, value)| (name.to_owned(), value)).into();
        Row::projected(&Arc::from("tasks"), attributes)
    }

    fn rows(count: u64, bytes: usize) -> Vec<Row> {
        (0..count).map(|number| row(number, bytes)).collect()
    }

    fn look(query: &str, decode: Decode, turns: &Turns) -> Look {
        let query = Query::parse(query, &Schema::TASKS).unwrap();
        Look::by(decode, turns.clone(), &query, Keep::Records, NOW)
    }

    fn decode(_: &Row) -> Result<Json, StoreError> {
        Ok(serde_json::json!({ "priority": 1 }).into())
    }

    fn turns() -> Turns {
        Turns::new(SlowFilters::OnAnotherThread)
    }

    /// A filter with almost as many values as allowed.
    fn long() -> String {
        format!("in(priority,{})", vec!["1"; 999].join(","))
    }

    #[tokio::test]
    async fn slow_filters_run_on_another_thread() {
        static THREADS: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());
        let decode = |row: &Row| {
            THREADS.lock().unwrap().push(thread::current().id());
            decode(row)
        };
        let looked = look(&long(), decode, &turns()).examine(rows(300, 1000), || false).await.unwrap();
        assert_eq!((looked.found.len(), looked.is_all), (300, true));
        assert!(THREADS.lock().unwrap().iter().all(|id| *id != thread::current().id()));
        THREADS.lock().unwrap().clear();
        let here = Turns::new(SlowFilters::OnTheCallersThread);
        let looked = look(&long(), decode, &here).examine(rows(300, 1000), || false).now_or_never();
        assert_eq!(looked.unwrap().unwrap().found.len(), 300);
        assert!(THREADS.lock().unwrap().iter().all(|id| *id == thread::current().id()));
        THREADS.lock().unwrap().clear();
        // A few small records are not worth another thread.
        let looked = look("priority=1", decode, &turns()).examine(rows(3, 100), || false).now_or_never();
        assert_eq!(looked.unwrap().unwrap().found.len(), 3);
        assert!(THREADS.lock().unwrap().iter().all(|id| *id == thread::current().id()));
    }

    #[tokio::test]
    async fn lists_take_turns_slice_by_slice() {
        let turns = turns();
        let other = Arc::clone(&turns.one).acquire_owned().await.unwrap();
        let query = long();
        let mut looks = look(&query, decode, &turns);
        let mut looked = Box::pin(looks.examine(rows(300, 1000), || false));
        assert!(looked.as_mut().now_or_never().is_none());
        // It waits for one slice of another list; a list that arrived meanwhile has a turn between its slices.
        let mut next = Box::pin(Arc::clone(&turns.one).acquire_owned());
        assert!(next.as_mut().now_or_never().is_none());
        drop(other);
        let turn = tokio::select! {
            biased;
            turn = &mut next => turn.unwrap(),
            _ = &mut looked => panic!("the list had more than a turn"),
        };
        drop(turn);
        assert_eq!(looked.await.unwrap().found.len(), 300);
    }

    #[tokio::test]
    async fn a_list_that_used_up_its_share_returns_what_it_found() {
        let mut looks = look(&long(), decode, &turns());
        let looked = looks.examine(rows(40, 300_000), || false).await.unwrap();
        assert!(!looked.is_all);
        let count = looked.found.len();
        assert!((10..20).contains(&count), "{count}");
        assert_eq!(looked.last, Some(looked.found[count - 1].0));
        // The first slice is examined regardless of the time, and nothing more.
        let looked = look(&long(), decode, &turns()).examine(rows(40, 300_000), || true).await.unwrap();
        assert_eq!((looked.found.len(), looked.is_all, looked.last.is_some()), (1, false, true));
    }
}
