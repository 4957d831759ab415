//! Turns records into a page: filter, window, total.
//!
//! A list in id order goes through these states. A list in another order reads everything first.
//!
//! ```text
//! filling the page ──full──► counting the rest ──end──► exact total
//!   │        │                      └──budget or COUNTED spent──► lower bound
//!   │        └──end──► exact total
//!   └──budget spent──► part of the page and where to go on, or error 21 where that is unknown
//! ```

use std::{collections::HashMap, ops::Bound};

use tasklane_model::{Json, ObjectId, Page, PageWindow, Timestamp};
use tasklane_rql::{Query, SortKey, SortValues};

use crate::StoreError;

use super::{
    Listed, Plan, Row,
    look::{Keep, Kept, Look, id_of},
    plan::Order,
    walk::Walk,
};

/// How many records are read at once if a filter may drop most of them. DynamoDB stops at 1 MB anyway.
const READ_AHEAD: usize = 1000;
/// The most records that a list reads in order to count. The cost in time and read units must not grow with the table:
/// a page shows a few dozen records, and each one that a filter has to examine costs a read.
const COUNTED: u64 = 500;
/// The most bytes of sort keys that are held while a list is sorted.
const SORT_BYTES: usize = 64 << 20;

pub(crate) async fn page(
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
        Some(select) => tasklane_rql::project(select, &record),
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
        page: PageWindow {
            total,
            total_is_exact,
            offset: window.offset,
            limit: window.limit,
            is_partial: found.next.map(|_| true),
            next: found.next,
        },
        data: found.records.into_iter().map(cut).collect(),
    })
}

struct Found {
    records: Vec<Json>,
    total: Total,
    /// The last record that was examined, if there was no time for more.
    next: Option<ObjectId>,
}

enum Total {
    Exact(u64),
    AtLeast(u64),
}

/// Reads in id order, and stops when the page is full and the rest is counted, or when the budget is spent.
async fn in_order(listed: &Listed, plan: &Plan, query: &Query, now: Timestamp) -> Result<Found, StoreError> {
    let page_until = listed.clock.now().saturating_add(listed.budgets.query);
    let mut reader = InOrder::begin(listed, plan, query, now).await?;
    match reader.fill_page(page_until).await? {
        Filled::Full if query.skip_count => Ok(reader.found(Total::Exact)),
        Filled::Full => reader.count_the_rest().await,
        Filled::End => Ok(reader.found(Total::Exact)),
        Filled::OutOfTime if reader.is_full() => Ok(reader.found_at_least()),
        Filled::OutOfTime => match reader.last {
            // With an offset it is unknown how much of the offset was skipped.
            Some(last) if query.window.offset == 0 => Ok(Found { next: Some(last), ..reader.found_at_least() }),
            Some(_) | None => Err(over_budget(listed, plan, query)),
        },
    }
}

enum Filled {
    /// The page is full.
    Full,
    /// There are no more records.
    End,
    /// The budget is spent.
    OutOfTime,
}

/// The result of one batch of records.
enum Batch {
    /// All of it was examined.
    Whole,
    /// There are no more records.
    End,
    /// Some of it was not examined, because the time was over.
    Cut,
}

/// A list in id order: it first fills its page, then counts.
struct InOrder<'a> {
    listed: &'a Listed,
    query: &'a Query,
    now: Timestamp,
    walk: Walk<'a>,
    /// `None` if there is no filter.
    look: Option<Look>,
    /// The number of matches up to the end of the page.
    end: u64,
    /// The page so far.
    records: Vec<Json>,
    /// How many records have matched.
    matched: u64,
    /// How many records have been read.
    read: u64,
    /// The last record that was examined.
    last: Option<ObjectId>,
}

impl<'a> InOrder<'a> {
    async fn begin(listed: &'a Listed, plan: &Plan, query: &'a Query, now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self {
            listed,
            query,
            now,
            walk: Walk::new(listed, plan).await?,
            look: query.filter.is_some().then(|| Look::new(listed, query, Keep::Records, now)),
            end: query.window.offset.saturating_add(query.window.limit),
            records: Vec::new(),
            matched: 0,
            read: 0,
            last: None,
        })
    }

    fn is_full(&self) -> bool {
        self.matched >= self.end
    }

    /// Reads until the page is full.
    async fn fill_page(&mut self, page_until: Timestamp) -> Result<Filled, StoreError> {
        let clock = &self.listed.clock;
        while !self.is_full() {
            // The list can only be continued after at least one record was examined.
            let has_begun = self.last.is_some() || self.look.is_none() || self.query.window.offset > 0;
            let until = if has_begun { page_until } else { page_until.saturating_add(self.listed.budgets.query) };
            let wanted = if self.walk.can_count() {
                // Every record matches.
                self.end - self.matched
            } else if self.read > COUNTED {
                // It is unknown how many records the filter will drop.
                READ_AHEAD as u64
            } else {
                // As many as will be counted are read in any case.
                self.left_to_count()
            };
            match self.batch(wanted, || clock.now() > until).await? {
                Batch::Whole => {}
                Batch::End => return Ok(Filled::End),
                Batch::Cut => return Ok(Filled::OutOfTime),
            }
        }
        Ok(Filled::Full)
    }

    /// Counts the rest until its budget is spent.
    async fn count_the_rest(mut self) -> Result<Found, StoreError> {
        let clock = &self.listed.clock;
        let until = clock.now().saturating_add(self.listed.budgets.count);
        if self.walk.can_count() {
            let (rest, is_all) = self.walk.count_rest(COUNTED.saturating_sub(self.read), until).await?;
            let counted = self.matched + rest;
            let total = if is_all { Total::Exact(counted) } else { at_least(counted, self.end) };
            return Ok(Found { records: self.records, total, next: None });
        }
        while self.read <= COUNTED {
            // Filling a page always gets some time; counting may get none.
            match self.batch(self.left_to_count(), || clock.now() >= until).await? {
                Batch::Whole => {}
                Batch::End => return Ok(self.found(Total::Exact)),
                Batch::Cut => break,
            }
        }
        Ok(self.found_at_least())
    }

    /// One more than is counted, which shows whether that is all.
    fn left_to_count(&self) -> u64 {
        COUNTED + 1 - self.read
    }

    /// Reads about `wanted` records and filters them.
    async fn batch(&mut self, wanted: u64, is_over: impl Fn() -> bool) -> Result<Batch, StoreError> {
        if is_over() {
            return Ok(Batch::Cut);
        }
        let hint = usize::try_from(wanted).unwrap_or(READ_AHEAD).clamp(1, READ_AHEAD);
        let Some(rows) = self.walk.next(hint).await? else { return Ok(Batch::End) };
        self.read += rows.len() as u64;
        let Some(look) = &mut self.look else {
            let mut shown = Vec::new();
            for row in rows.into_iter().filter(|row| !row.is_expired(self.now)) {
                if self.is_on_page() {
                    shown.push(row);
                }
                self.matched += 1;
            }
            self.records.extend(self.listed.decode_whole(shown).await?);
            return Ok(Batch::Whole);
        };
        let looked = look.examine(rows, is_over).await?;
        let mut shown = Vec::new();
        for found in looked.found {
            if self.is_on_page() {
                shown.push(found);
            }
            self.matched += 1;
        }
        let shown = whole(self.listed, shown).await?;
        self.records.extend(shown.into_iter().map(|(_, record)| record));
        self.last = looked.last.or(self.last);
        Ok(if looked.is_all { Batch::Whole } else { Batch::Cut })
    }

    fn is_on_page(&self) -> bool {
        (self.query.window.offset..self.end).contains(&self.matched)
    }

    fn found(self, total: impl FnOnce(u64) -> Total) -> Found {
        Found { total: total(self.matched), records: self.records, next: None }
    }

    fn found_at_least(self) -> Found {
        let end = self.end;
        self.found(|matched| at_least(matched, end))
    }
}

/// The total if counting stopped early. It is always more than the page's end, so that a caller who pages continues.
fn at_least(counted: u64, end: u64) -> Total {
    Total::AtLeast(counted.max(end.saturating_add(1)))
}

/// The public forms of records that were found, in the same order.
async fn whole(listed: &Listed, found: Vec<(ObjectId, Kept)>) -> Result<Vec<(ObjectId, Json)>, StoreError> {
    let (mut records, mut unread) = (Vec::new(), Vec::new());
    for (id, kept) in found {
        match kept {
            Kept::Record(record) => records.push((id, Some(record))),
            Kept::Unread(row) => {
                records.push((id, None));
                unread.push(row);
            }
            Kept::SortValues(_) => {}
        }
    }
    // Together: one by one, each large record would take a read of its own.
    let mut read = listed.decode_whole(unread).await?.into_iter();
    Ok(records.into_iter().filter_map(|(id, record)| Some((id, record.or_else(|| read.next())?))).collect())
}

/// Those of these rows that a list with this query's filter would show, and whether there was time for all of them.
pub(crate) async fn matching_among(
    listed: &Listed,
    mut rows: Vec<Row>,
    query: &Query,
    now: Timestamp,
) -> Result<(Vec<(ObjectId, Json)>, bool), StoreError> {
    if query.filter.is_none() {
        rows.retain(|row| !row.is_expired(now));
        let ids = rows.iter().map(id_of).collect::<Result<Vec<_>, _>>()?;
        return Ok((ids.into_iter().zip(listed.decode_whole(rows).await?).collect(), true));
    }
    let until = now.saturating_add(listed.budgets.query);
    let looked = Look::new(listed, query, Keep::Records, now).examine(rows, || listed.clock.now() > until).await?;
    Ok((whole(listed, looked.found).await?, looked.is_all))
}

/// Reads all records that may match, keeps those that may be on the page, and reads the page's records at the end.
async fn sorted(listed: &Listed, plan: &Plan, query: &Query, now: Timestamp) -> Result<Found, StoreError> {
    let until = listed.clock.now().saturating_add(listed.budgets.query);
    let is_over = || listed.clock.now() > until;
    let mut walk = Walk::new(listed, plan).await?;
    let mut look = Look::new(listed, query, Keep::SortValues, now);
    let end = query.window.offset.saturating_add(query.window.limit);
    let end = usize::try_from(end).unwrap_or(usize::MAX);
    let mut best = Best { keys: &query.sort, kept: Vec::new(), bytes: 0, end };
    let mut matched = 0_u64;
    while let Some(rows) = walk.next(READ_AHEAD).await? {
        let looked = look.examine(rows, is_over).await?;
        for (id, kept) in looked.found {
            matched += 1;
            match kept {
                Kept::SortValues(values) => best.offer(id, values),
                Kept::Record(_) | Kept::Unread(_) => {}
            }
        }
        if !looked.is_all || best.bytes > SORT_BYTES || is_over() {
            return Err(over_budget(listed, plan, query));
        }
    }
    let first = usize::try_from(query.window.offset).unwrap_or(usize::MAX);
    let ids: Vec<_> = best.finish().into_iter().skip(first).collect();
    let records = by_ids(listed, &ids).await?;
    Ok(Found { records, total: Total::Exact(matched), next: None })
}

/// The best `end` records so far, reduced to the values that they are sorted by.
struct Best<'a> {
    keys: &'a [SortKey],
    kept: Vec<(ObjectId, SortValues)>,
    bytes: usize,
    end: usize,
}

impl Best<'_> {
    fn offer(&mut self, id: ObjectId, values: SortValues) {
        self.bytes += values.size();
        self.kept.push((id, values));
        if self.kept.len() >= self.end.saturating_mul(2).max(1000) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let keys = self.keys;
        self.kept.sort_by(|(id_a, a), (id_b, b)| SortKey::compare(keys, a, b).then(id_a.cmp(id_b)));
        self.kept.truncate(self.end);
        self.bytes = self.kept.iter().map(|(_, values)| values.size()).sum();
    }

    fn finish(mut self) -> Vec<ObjectId> {
        self.cut();
        self.kept.into_iter().map(|(id, _)| id).collect()
    }
}

/// The records with these ids, in this order, without those that have disappeared since.
async fn by_ids(listed: &Listed, ids: &[ObjectId]) -> Result<Vec<Json>, StoreError> {
    let mut ascending = ids.to_vec();
    ascending.sort();
    let plan = Plan::of_ids(ascending);
    let mut walk = Walk::new(listed, &plan).await?;
    let mut found = HashMap::new();
    while let Some(rows) = walk.next(READ_AHEAD).await? {
        let ids = rows.iter().map(id_of).collect::<Result<Vec<_>, _>>()?;
        found.extend(ids.into_iter().zip(listed.decode_whole(rows).await?));
    }
    Ok(ids.iter().filter_map(|id| HashMap::remove(&mut found, id)).collect())
}

fn over_budget(listed: &Listed, plan: &Plan, query: &Query) -> StoreError {
    StoreError::QueryBudget { budget_millis: listed.budgets.query.as_millis(), advice: advice(listed, plan, query) }
}

/// Advice on how to speed up a query, of what it does not do already.
fn advice(listed: &Listed, plan: &Plan, query: &Query) -> String {
    let filter = query.filter.as_ref();
    let has_function = filter.is_some_and(|filter| filter.required_values("functionName").is_some());
    let range = filter.map(|filter| filter.required_range(listed.time_field));
    let has_range = range.is_some_and(|(from, to)| from != Bound::Unbounded && to != Bound::Unbounded);
    let mut ways = Vec::new();
    match (has_function, has_range) {
        (true, true) => {}
        (false, true) => ways.push("filter by functionName".to_owned()),
        (true, false) => ways.push(format!("limit {} on both sides", listed.time_field)),
        (false, false) => ways.push(format!("filter by functionName, or limit {} on both sides", listed.time_field)),
    }
    match plan.order {
        Order::Keys => ways.push("omit the sort and sort the results yourself".to_owned()),
        Order::Ids { .. } if query.window.offset > 0 => {
            ways.push("continue after the last id that you saw instead of using an offset".to_owned());
        }
        Order::Ids { .. } => {}
    }
    if ways.is_empty() { "request a smaller part of the list".to_owned() } else { ways.join(", or ") }
}
