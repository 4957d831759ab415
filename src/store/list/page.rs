//! From records to a page: filter, window, total.

use std::ops::Bound;

use crate::{
    model::{Json, ObjectId, Page, PageWindow, Timestamp},
    rql::{self, Query, SortKey, SortValues},
    store::StoreError,
};

use super::{
    Listed, Plan,
    look::{Keep, Kept, Look, id_of},
    plan::Order,
    walk::Walk,
};

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
    /// The last record that was looked at, when there was no time for more.
    next: Option<ObjectId>,
}

enum Total {
    Exact(u64),
    AtLeast(u64),
}

/// Reads in the list's own order and stops when the page is full and the rest counted, or its budget spent.
async fn in_order(listed: &Listed, plan: &Plan, query: &Query, now: Timestamp) -> Result<Found, StoreError> {
    let page_until = listed.clock.now().saturating_add(listed.budgets.query);
    let mut walk = Walk::new(listed, plan).await?;
    let mut look = query.filter.is_some().then(|| Look::new(listed, query, Keep::Records, now));
    let end = query.window.offset.saturating_add(query.window.limit);
    let (mut records, mut matched, mut read) = (Vec::new(), 0_u64, 0_u64);
    let mut count_until = None;
    let mut last = None;
    let whole = |records, total| Ok(Found { records, total, next: None });
    loop {
        let until = if matched < end {
            // Where to go on is only known once a record was looked at.
            let has_begun = last.is_some() || look.is_none() || query.window.offset > 0;
            if has_begun { page_until } else { page_until.saturating_add(listed.budgets.query) }
        } else {
            if query.skip_count {
                return whole(records, Total::Exact(matched));
            }
            let until = *count_until.get_or_insert_with(|| listed.clock.now().saturating_add(listed.budgets.count));
            if walk.can_count() {
                let (rest, is_all) = walk.count_rest(COUNTED.saturating_sub(read), until).await?;
                let total = if is_all { Total::Exact(matched + rest) } else { at_least(matched + rest, end) };
                return whole(records, total);
            }
            if read > COUNTED {
                return whole(records, at_least(matched, end));
            }
            until
        };
        let wanted = match matched >= end {
            // Nothing is dropped of what is found.
            false if walk.can_count() => end - matched,
            // What a filter drops of many is not known. As many as are counted are read anyhow.
            false if read > COUNTED => READ_AHEAD as u64,
            // One more than is counted, which tells whether that is all.
            _ => COUNTED + 1 - read,
        };
        let hint = usize::try_from(wanted).unwrap_or(READ_AHEAD).clamp(1, READ_AHEAD);
        // A page has some time in any case, counting may have none.
        let is_counting = matched >= end;
        let is_over = || {
            let now = listed.clock.now();
            now > until || (is_counting && now == until)
        };
        let rows = if is_over() { None } else { Some(walk.next(hint).await?) };
        let is_all = match (rows, &mut look) {
            (None, _) => false,
            (Some(None), _) => return whole(records, Total::Exact(matched)),
            (Some(Some(rows)), None) => {
                read += rows.len() as u64;
                for row in rows.iter().filter(|row| !row.is_expired(now)) {
                    if (query.window.offset..end).contains(&matched) {
                        records.push((listed.decode)(row)?);
                    }
                    matched += 1;
                }
                true
            }
            (Some(Some(rows)), Some(look)) => {
                read += rows.len() as u64;
                let looked = look.at(rows, is_over).await?;
                for (_, kept) in looked.found {
                    match kept {
                        Kept::Record(record) if (query.window.offset..end).contains(&matched) => records.push(record),
                        Kept::Record(_) | Kept::SortValues(_) => {}
                    }
                    matched += 1;
                }
                last = looked.last.or(last);
                looked.is_all
            }
        };
        if !is_all {
            return match last {
                _ if matched >= end => whole(records, at_least(matched, end)),
                // With an offset nobody knows how much of it was passed over.
                Some(next) if query.window.offset == 0 => {
                    Ok(Found { records, total: at_least(matched, end), next: Some(next) })
                }
                Some(_) | None => Err(over_budget(listed, plan, query)),
            };
        }
    }
}

/// The total when counting stopped early: always more than the page shows, so that whoever pages goes on.
fn at_least(counted: u64, end: u64) -> Total {
    Total::AtLeast(counted.max(end.saturating_add(1)))
}

/// Reads everything that may match, keeps what may stand on the page, and looks the page's records up at the end.
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
        let looked = look.at(rows, is_over).await?;
        for (id, kept) in looked.found {
            matched += 1;
            match kept {
                Kept::SortValues(values) => best.offer(id, values),
                Kept::Record(_) => {}
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

/// The best `end` records so far, cut down to what they are sorted by.
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

fn over_budget(listed: &Listed, plan: &Plan, query: &Query) -> StoreError {
    StoreError::QueryBudget { budget_millis: listed.budgets.query.as_millis(), advice: advice(listed, plan, query) }
}

/// What makes a query quicker that it does not do already.
fn advice(listed: &Listed, plan: &Plan, query: &Query) -> String {
    let filter = query.filter.as_ref();
    let has_function = filter.is_some_and(|filter| filter.required_values("functionName").is_some());
    let range = filter.map(|filter| filter.required_range(listed.time_field));
    let has_range = range.is_some_and(|(from, to)| from != Bound::Unbounded && to != Bound::Unbounded);
    let mut ways = Vec::new();
    match (has_function, has_range) {
        (true, true) => {}
        (false, true) => ways.push("bound it by functionName".to_owned()),
        (true, false) => ways.push(format!("bound {} on both sides", listed.time_field)),
        (false, false) => ways.push(format!("bound it by functionName, or by {} on both sides", listed.time_field)),
    }
    match plan.order {
        Order::Keys => ways.push("leave out the sort, and sort what you get".to_owned()),
        Order::Ids { .. } if query.window.offset > 0 => {
            ways.push("go on after the last id that you saw instead of an offset".to_owned());
        }
        Order::Ids { .. } => {}
    }
    if ways.is_empty() { "ask for a smaller part of the list at once".to_owned() } else { ways.join(", or ") }
}
