//! From records to a page: filter, window, total.

use serde_json::Value;

use crate::{
    model::{Json, ObjectId, Page, PageWindow, Timestamp},
    rql::{self, Query, SortKey},
    store::{StoreError, row::Row},
};

use super::{Listed, Plan, plan::Order, walk::Walk};

/// How many records are read at once while a filter may drop most of them: DynamoDB stops at 1 MB anyway.
const READ_AHEAD: usize = 1000;
/// How many records a list reads at most in order to count. What that costs, in time and in read units, must not grow with
/// the table: a page shows some tens, and each record that a filter has to look at is a read of its own.
const COUNTED: u64 = 500;
/// How many bytes of sort keys are held at most while a list is sorted.
const SORT_BYTES: usize = 64 << 20;

/// The page that a query asks for.
pub(in crate::store) async fn page(
    listed: &Listed,
    plan: &Plan,
    query: &Query,
    now: Timestamp,
) -> Result<Page<Json>, StoreError> {
    let found = match plan.order {
        Order::Ids { .. } => in_order(listed, plan, query, now).await?,
        Order::Keys => sorted(listed, plan, query, now).await?,
    };
    let cut = |record| match &query.select {
        Some(select) => rql::project(select, &record),
        None => record,
    };
    let window = query.window;
    let (total, total_is_exact) = match found.total {
        _ if query.skip_count => (None, None),
        Total::Exact(total) => (Some(total), None),
        Total::AtLeast(total) => (Some(total), Some(false)),
    };
    Ok(Page {
        query: query.text.clone(),
        page: PageWindow { total, total_is_exact, offset: window.offset, limit: window.limit },
        data: found.records.into_iter().map(cut).collect(),
    })
}

struct Found {
    records: Vec<Json>,
    total: Total,
}

enum Total {
    Exact(u64),
    AtLeast(u64),
}

/// Reads in the list's own order and stops when the page is full and the rest counted, or its budget spent.
async fn in_order(listed: &Listed, plan: &Plan, query: &Query, now: Timestamp) -> Result<Found, StoreError> {
    let began = listed.clock.now();
    let mut walk = Walk::new(listed, plan).await?;
    let end = query.window.offset.saturating_add(query.window.limit);
    let (mut records, mut matched, mut read) = (Vec::new(), 0_u64, 0_u64);
    let mut full_since = None;
    loop {
        if matched >= end {
            if query.skip_count {
                return Ok(Found { records, total: Total::Exact(matched) });
            }
            let full_since = *full_since.get_or_insert_with(|| listed.clock.now());
            let deadline = full_since.saturating_add(listed.budgets.count);
            if walk.can_count() {
                let (rest, is_all) = walk.count_rest(COUNTED.saturating_sub(read), deadline).await?;
                let total = if is_all { Total::Exact(matched + rest) } else { at_least(matched + rest, end) };
                return Ok(Found { records, total });
            }
            if read > COUNTED || listed.clock.now() >= deadline {
                return Ok(Found { records, total: at_least(matched, end) });
            }
        } else {
            check_budget(listed, began)?;
        }
        let wanted = match matched >= end {
            // Nothing is dropped of what is found.
            false if walk.can_count() => end - matched,
            // What a filter drops of many is not known. As many as are counted are read anyhow.
            false if read > COUNTED => READ_AHEAD as u64,
            // One more than is counted, which tells whether that is all.
            _ => COUNTED + 1 - read,
        };
        let hint = usize::try_from(wanted).unwrap_or(READ_AHEAD).clamp(1, READ_AHEAD);
        let Some(rows) = walk.next(hint).await? else {
            return Ok(Found { records, total: Total::Exact(matched) });
        };
        read += rows.len() as u64;
        for row in rows.iter().filter(|row| !row.is_expired(now)) {
            let in_window = (query.window.offset..end).contains(&matched);
            if query.filter.is_none() && !in_window {
                matched += 1;
                continue;
            }
            let record = (listed.decode)(row)?;
            if query.filter.is_none() || query.matches(&record.to_value()) {
                if in_window {
                    records.push(record);
                }
                matched += 1;
            }
        }
    }
}

/// The total when counting stopped early: always more than the page shows, so that whoever pages goes on.
fn at_least(counted: u64, end: u64) -> Total {
    Total::AtLeast(counted.max(end.saturating_add(1)))
}

/// Reads everything that may match, keeps what may stand on the page, and looks the page's records up at the end.
async fn sorted(listed: &Listed, plan: &Plan, query: &Query, now: Timestamp) -> Result<Found, StoreError> {
    let began = listed.clock.now();
    let mut walk = Walk::new(listed, plan).await?;
    let end = query.window.offset.saturating_add(query.window.limit);
    let end = usize::try_from(end).unwrap_or(usize::MAX);
    let fields: Vec<_> = query.sort.iter().map(|key| key.field.clone()).collect();
    let mut best = Best { keys: &query.sort, kept: Vec::new(), bytes: 0, end };
    let mut matched = 0_u64;
    while let Some(rows) = walk.next(READ_AHEAD).await? {
        check_budget(listed, began)?;
        for row in rows.iter().filter(|row| !row.is_expired(now)) {
            let record = (listed.decode)(row)?;
            if query.filter.is_none() || query.matches(&record.to_value()) {
                matched += 1;
                best.offer(id_of(row)?, rql::project(&fields, &record).to_value());
            }
        }
        if best.bytes > SORT_BYTES {
            return Err(over_budget(listed));
        }
    }
    let first = usize::try_from(query.window.offset).unwrap_or(usize::MAX);
    let ids: Vec<_> = best.finish().into_iter().skip(first).collect();
    let records = by_ids(listed, &ids).await?;
    Ok(Found { records, total: Total::Exact(matched) })
}

/// The best `end` records so far, cut down to what they are sorted by.
struct Best<'a> {
    keys: &'a [SortKey],
    kept: Vec<(ObjectId, Value)>,
    bytes: usize,
    end: usize,
}

impl Best<'_> {
    fn offer(&mut self, id: ObjectId, record: Value) {
        self.bytes += size(&record);
        self.kept.push((id, record));
        if self.kept.len() >= self.end.saturating_mul(2).max(1000) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let keys = self.keys;
        self.kept.sort_by(|(id_a, a), (id_b, b)| SortKey::compare(keys, a, b).then(id_a.cmp(id_b)));
        self.kept.truncate(self.end);
        self.bytes = self.kept.iter().map(|(_, record)| size(record)).sum();
    }

    fn finish(mut self) -> Vec<ObjectId> {
        self.cut();
        self.kept.into_iter().map(|(id, _)| id).collect()
    }
}

/// About how much memory a record takes.
fn size(record: &Value) -> usize {
    let below = match record {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().map(size).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + size(value)).sum(),
    };
    below + size_of::<Value>()
}

/// The records of these ids, in this order. One that is gone since it was found is left out.
async fn by_ids(listed: &Listed, ids: &[ObjectId]) -> Result<Vec<Json>, StoreError> {
    let mut ascending = ids.to_vec();
    ascending.sort();
    let plan = Plan::of_ids(ascending);
    let mut walk = Walk::new(listed, &plan).await?;
    let mut found = std::collections::HashMap::new();
    while let Some(rows) = walk.next(READ_AHEAD).await? {
        for row in &rows {
            found.insert(id_of(row)?, (listed.decode)(row)?);
        }
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

fn id_of(row: &Row) -> Result<ObjectId, StoreError> {
    row.parse("sk")
}

fn check_budget(listed: &Listed, began: Timestamp) -> Result<(), StoreError> {
    if listed.clock.now() > began.saturating_add(listed.budgets.query) { Err(over_budget(listed)) } else { Ok(()) }
}

fn over_budget(listed: &Listed) -> StoreError {
    StoreError::QueryBudget { budget_millis: listed.budgets.query.as_millis() }
}
