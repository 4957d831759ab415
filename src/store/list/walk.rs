//! Reading records in the order of their ids, across partitions.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use aws_sdk_dynamodb::types::Select;
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};

use crate::{
    model::{ObjectId, Timestamp},
    store::{
        StoreError,
        error::failed,
        row::{Attributes, Row, number, text},
        table::{Partition, small},
    },
};

use super::{Layout, Listed, Plan, Source, plan::Order};

/// How many records are looked up by their keys at once.
const LOOK_UP: usize = 100;
/// How many partitions are counted at once.
const COUNT_AT_ONCE: usize = 32;
/// How many days are read side by side at most, once days turn out to be empty.
const DAYS_AT_ONCE: usize = 32;
/// After how many records counting looks at the clock, at most.
const COUNT_STEP: u64 = 1000;

/// Reads the records of a plan, batch by batch, in order.
pub(super) struct Walk<'a> {
    listed: &'a Listed,
    descending: bool,
    range: (String, String),
    rest: Rest,
    can_count: bool,
}

/// What is still to be read.
enum Rest {
    /// Records to look up.
    Ids(VecDeque<ObjectId>),
    /// Records that an index names.
    Keys(Merge),
    /// Records in groups of partitions, one group after the other; `width` groups at once.
    Groups { current: Option<Merge>, groups: VecDeque<Vec<String>>, width: usize },
}

/// Partitions that are read side by side.
struct Merge(Vec<Cursor>);

/// When counting ends.
struct CountUntil {
    most: u64,
    deadline: Timestamp,
    /// How much was counted so far, in all partitions.
    counted: AtomicU64,
}

/// A place in a partition.
struct Cursor {
    index: Option<&'static str>,
    key: &'static str,
    partition: String,
    buffer: VecDeque<Row>,
    start: Option<Attributes>,
    done: bool,
}

impl<'a> Walk<'a> {
    pub(super) async fn new(listed: &'a Listed, plan: &Plan) -> Result<Self, StoreError> {
        let descending = match plan.order {
            Order::Ids { descending } => descending,
            Order::Keys => false,
        };
        let rest = match (&plan.source, &listed.layout) {
            (Source::Ids(ids), _) => {
                let mut ids: Vec<_> = ids.iter().copied().filter(|id| plan.covers(*id)).collect();
                if descending {
                    ids.reverse();
                }
                Rest::Ids(ids.into())
            }
            (Source::Functions(names), Layout::ByDay(_)) => Rest::Keys(Merge(
                names.iter().map(|name| Cursor::new(Some("function"), "function", name.to_string())).collect(),
            )),
            (Source::Everything, Layout::ByDay(days)) => {
                let range = (plan.ids.0.time().day(), plan.ids.1.time().day());
                let days = days.all().await?.into_iter().filter(|day| (&range.0..=&range.1).contains(&&day.day));
                let mut groups: VecDeque<_> = days.map(|day| day.partitions().collect()).collect();
                if descending {
                    groups.make_contiguous().reverse();
                }
                Rest::Groups { current: None, groups, width: 1 }
            }
            (Source::Functions(_) | Source::Everything, Layout::One(partition)) => {
                Rest::Groups { current: None, groups: [vec![(*partition).to_owned()]].into(), width: 1 }
            }
        };
        let can_count = plan.is_exact
            && match (&plan.source, &listed.layout) {
                (Source::Everything, Layout::ByDay(_) | Layout::One(_)) => true,
                (Source::Functions(_), Layout::ByDay(_)) => !listed.expire,
                (Source::Functions(_), Layout::One(_)) | (Source::Ids(_), _) => false,
            };
        Ok(Self { listed, descending, range: (plan.ids.0.to_string(), plan.ids.1.to_string()), rest, can_count })
    }

    /// Whether what is left can be counted without reading it: all of it meets the filter.
    pub(super) fn can_count(&self) -> bool {
        self.can_count
    }

    /// The next records, about `hint` of them; `None` at the end. A batch may be empty before that.
    pub(super) async fn next(&mut self, hint: usize) -> Result<Option<Vec<Row>>, StoreError> {
        let listed = self.listed;
        match &mut self.rest {
            Rest::Ids(ids) => {
                if ids.is_empty() {
                    return Ok(None);
                }
                let batch: Vec<_> = ids.drain(..ids.len().min(LOOK_UP)).collect();
                let mut keys = Vec::with_capacity(batch.len());
                for id in batch {
                    let partition = match &listed.layout {
                        Layout::ByDay(days) => days.partition_of(id).await?.map(|(partition, _)| partition),
                        Layout::One(partition) => Some((*partition).to_owned()),
                    };
                    keys.extend(partition.map(|partition| (partition, id.to_string())));
                }
                self.look_up(keys).await.map(Some)
            }
            Rest::Keys(merge) => {
                let Some(found) = merge.next(listed, &self.range, self.descending, hint.clamp(1, LOOK_UP)).await?
                else {
                    return Ok(None);
                };
                let keys = found.iter().map(|row| Ok((row.text("pk")?.to_owned(), row.text("sk")?.to_owned())));
                let keys = keys.collect::<Result<Vec<_>, StoreError>>()?;
                self.look_up(keys).await.map(Some)
            }
            Rest::Groups { current, groups, width } => {
                let merge = match current {
                    Some(merge) => merge,
                    None if groups.is_empty() => return Ok(None),
                    None => {
                        let next = groups.drain(..groups.len().min(*width)).flatten().collect();
                        // Where retention has emptied days, hundreds of them may lie in a row.
                        *width = (*width * 2).min(DAYS_AT_ONCE);
                        current.insert(Merge::of(next))
                    }
                };
                match merge.next(listed, &self.range, self.descending, hint).await? {
                    Some(found) => {
                        *width = 1;
                        Ok(Some(found))
                    }
                    None => {
                        *current = None;
                        Ok(Some(Vec::new()))
                    }
                }
            }
        }
    }

    /// Counts what is left without reading it, about `most` of it and until `deadline`: how many there are, and whether
    /// that is all. See [`Walk::can_count`].
    pub(super) async fn count_rest(self, most: u64, deadline: Timestamp) -> Result<(u64, bool), StoreError> {
        let listed = self.listed;
        let (mut wave, mut groups) = match self.rest {
            Rest::Ids(_) => (Vec::new(), VecDeque::new()),
            Rest::Keys(merge) => (merge.0, VecDeque::new()),
            Rest::Groups { current, groups, .. } => (current.map(|merge| merge.0).unwrap_or_default(), groups),
        };
        let now = listed.clock.now();
        let read = wave.iter().flat_map(|cursor| &cursor.buffer).filter(|row| !row.is_expired(now)).count();
        let until = CountUntil { most, deadline, counted: AtomicU64::new(0) };
        // Where days are large the first one is enough; where they are small many are looked at together.
        let mut groups_at_once = 1;
        let mut complete = true;
        loop {
            let at_once = wave.len().clamp(1, COUNT_AT_ONCE) as u64;
            let mut counts = stream::iter(wave)
                .map(|cursor| cursor.count(listed, &self.range, self.descending, &until, at_once))
                .buffer_unordered(COUNT_AT_ONCE);
            while let Some(all) = counts.try_next().await? {
                complete &= all;
            }
            if !complete || groups.is_empty() {
                break;
            }
            let partitions = groups.drain(..groups.len().min(groups_at_once)).flatten();
            wave = partitions.map(|partition| Cursor::new(None, "pk", partition)).collect();
            groups_at_once = (groups_at_once * 2).min(COUNT_AT_ONCE);
        }
        Ok((until.counted.into_inner() + u64::try_from(read).unwrap_or(u64::MAX), complete))
    }

    async fn look_up(&self, keys: Vec<(String, String)>) -> Result<Vec<Row>, StoreError> {
        let mut rows = self.listed.table.get_all(self.listed.action, keys).await?;
        rows.sort_by(|a, b| a.text("sk").ok().cmp(&b.text("sk").ok()));
        if self.descending {
            rows.reverse();
        }
        Ok(rows)
    }
}

impl Merge {
    fn of(partitions: Vec<String>) -> Self {
        Self(partitions.into_iter().map(|partition| Cursor::new(None, "pk", partition)).collect())
    }

    /// The next rows in order: as many as can be told without reading more of any partition.
    async fn next(
        &mut self,
        listed: &Listed,
        range: &(String, String),
        descending: bool,
        hint: usize,
    ) -> Result<Option<Vec<Row>>, StoreError> {
        let fills = self.0.iter_mut().map(|cursor| cursor.fill(listed, range, descending, hint));
        try_join_all(fills).await?;
        self.0.retain(|cursor| !(cursor.done && cursor.buffer.is_empty()));
        let mut batch = Vec::new();
        while !self.0.is_empty() && self.0.iter().all(|cursor| !cursor.buffer.is_empty() || cursor.done) {
            let head = |cursor: &Cursor| cursor.buffer.front().and_then(|row| row.text("sk").ok().map(str::to_owned));
            let heads = self.0.iter_mut().filter(|cursor| !cursor.buffer.is_empty());
            let next = if descending {
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

    async fn fill(
        &mut self,
        listed: &Listed,
        range: &(String, String),
        descending: bool,
        hint: usize,
    ) -> Result<(), StoreError> {
        if self.done || !self.buffer.is_empty() {
            return Ok(());
        }
        let query = self.query(listed, range, descending).limit(i32::try_from(hint.max(1)).unwrap_or(i32::MAX));
        let page = small(query.send()).await.map_err(|error| failed(listed.action, &error))?;
        for item in page.items.unwrap_or_default() {
            self.buffer.push_back(match self.index {
                None => listed.table.row(item)?,
                Some(_) => Row::projected(listed.table.name(), item),
            });
        }
        self.start = page.last_evaluated_key.filter(|key| !key.is_empty());
        self.done = self.start.is_none();
        Ok(())
    }

    /// Counts on, as one of `at_once`; whether it came to the end.
    async fn count(
        mut self,
        listed: &Listed,
        range: &(String, String),
        descending: bool,
        until: &CountUntil,
        at_once: u64,
    ) -> Result<bool, StoreError> {
        while !self.done {
            let counted = until.counted.load(Ordering::Relaxed);
            if counted > until.most || listed.clock.now() >= until.deadline {
                return Ok(false);
            }
            // One more than is counted, which tells whether that is all; shared by those that count at the same time.
            let step = ((until.most + 1 - counted) / at_once).clamp(1, COUNT_STEP);
            let mut query = self
                .query(listed, range, descending)
                .select(Select::Count)
                .limit(i32::try_from(step).unwrap_or(i32::MAX));
            if listed.expire {
                query = query
                    .filter_expression("attribute_not_exists(expires) OR expires > :now")
                    .expression_attribute_values(":now", number(listed.clock.now().as_secs()));
            }
            let page = small(query.send()).await.map_err(|error| failed(listed.action, &error))?;
            until.counted.fetch_add(u64::try_from(page.count).unwrap_or(0), Ordering::Relaxed);
            self.start = page.last_evaluated_key.filter(|key| !key.is_empty());
            self.done = self.start.is_none();
        }
        Ok(true)
    }

    fn query(
        &self,
        listed: &Listed,
        range: &(String, String),
        descending: bool,
    ) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
        listed
            .table
            .query(&Partition { index: self.index, key: self.key, value: &self.partition })
            .key_condition_expression("#partition = :partition AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":from", text(&range.0))
            .expression_attribute_values(":to", text(&range.1))
            .scan_index_forward(!descending)
            .set_exclusive_start_key(self.start.clone())
    }
}
