//! Reads records in id order across partitions.
//!
//! A record is found in one of three ways: by an id in the query; through indexes (by Function, by marks); or by its day.
//! Days are read one after another, or many at once if they turn out to be empty. Of days that have no marks, only the
//! index by Function can be used.

use std::{collections::VecDeque, sync::atomic::AtomicU64};

use tasklane_model::{ObjectId, Timestamp};

use crate::{
    StoreError,
    days::{DayShards, Days, wholly_marked},
    row::Row,
    tasks::marks::Mark,
};

use super::{
    Layout, Listed, Plan, Source,
    cursor::{COUNT_AT_ONCE, CountUntil, IdRange, Merge, Reading},
    join::Join,
    plan::{Index, Order},
};

/// How many records are read by key at once.
const LOOK_UP: usize = 100;
/// The most days that are read at once, if days turn out to be empty.
const DAYS_AT_ONCE: usize = 32;

/// Reads the records of a plan in order, in batches.
pub(super) struct Walk<'a> {
    reading: Reading<'a>,
    /// What remains to be read, in order.
    rest: VecDeque<Rest>,
    can_count: bool,
}

/// A part of what remains to be read.
enum Rest {
    /// Records to read by id.
    Ids(VecDeque<ObjectId>),
    /// Records that indexes lead to.
    Indexed(Join),
    Groups(Groups),
}

/// Groups of partitions, such as the shards of a day, in order.
struct Groups {
    /// The groups that are being read now.
    current: Option<Merge>,
    /// The groups after them.
    later: VecDeque<Vec<String>>,
    /// The ids to read of each.
    range: IdRange,
    /// How many groups to read together next.
    width: usize,
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
                [Rest::Ids(ids.into())].into()
            }
            (Source::Indexed(indexes), Layout::ByDay(days)) => by_indexes(indexes, plan, days, descending).await?,
            (Source::Everything, Layout::ByDay(days)) => {
                let days = days_of(plan, days.all().await?);
                [Rest::Groups(Groups::of_days(&days, &IdRange::new(plan.ids), descending))].into()
            }
            (Source::Indexed(_) | Source::Everything, Layout::AnyOf(partitions)) => {
                let all = [partitions.clone()].into();
                [Rest::Groups(Groups::new(all, &IdRange::new(plan.ids)))].into()
            }
        };
        let can_count = plan.is_exact
            && match (&plan.source, &listed.layout) {
                (Source::Everything, Layout::ByDay(_) | Layout::AnyOf(_)) => true,
                (Source::Indexed(_), Layout::ByDay(_)) => !listed.expire,
                (Source::Indexed(_), Layout::AnyOf(_)) | (Source::Ids(_), _) => false,
            };
        Ok(Self { reading: Reading { listed, descending }, rest, can_count })
    }

    /// Whether the rest can be counted without reading it, because all of it matches the filter.
    pub(super) fn can_count(&self) -> bool {
        self.can_count
    }

    /// About `hint` next records; `None` at the end. A batch may be empty before that.
    pub(super) async fn next(&mut self, hint: usize) -> Result<Option<Vec<Row>>, StoreError> {
        while let Some(rest) = self.rest.front_mut() {
            let listed = self.reading.listed;
            let keys = match rest {
                Rest::Ids(ids) if ids.is_empty() => None,
                Rest::Ids(ids) => Some(keys_of(listed, ids.drain(..ids.len().min(LOOK_UP))).await?),
                Rest::Indexed(join) => match join.next(&self.reading, hint.clamp(1, LOOK_UP)).await? {
                    Some(found) => Some(keys_in(listed, &found).await?),
                    None => None,
                },
                Rest::Groups(groups) => match groups.next(&self.reading, hint).await? {
                    Some(found) => return Ok(Some(found)),
                    None => None,
                },
            };
            match keys {
                Some(keys) => return self.look_up(keys).await.map(Some),
                None => self.rest.pop_front(),
            };
        }
        Ok(None)
    }

    /// Counts the rest without reading it, up to about `most` records and until `deadline`. Returns the count, and
    /// whether that is all. See [`Walk::can_count`].
    pub(super) async fn count_rest(mut self, most: u64, deadline: Timestamp) -> Result<(u64, bool), StoreError> {
        // There is only one part if it can be counted.
        let none = || Merge::of([], &IdRange::new((ObjectId::LAST, ObjectId::LAST)));
        let (mut wave, mut groups, range) = match self.rest.pop_front() {
            Some(Rest::Groups(Groups { current, later, range, .. })) => (current.unwrap_or_else(none), later, range),
            Some(Rest::Indexed(join)) => {
                (join.into_only().unwrap_or_else(none), VecDeque::new(), IdRange::new((ObjectId::LAST, ObjectId::LAST)))
            }
            Some(Rest::Ids(_)) | None => (none(), VecDeque::new(), IdRange::new((ObjectId::LAST, ObjectId::LAST))),
        };
        let read = wave.buffered(self.reading.listed.clock.now());
        let until = CountUntil { most, deadline, counted: AtomicU64::new(0) };
        // If days are large, the first one is enough; if they are small, many are counted together.
        let mut groups_at_once = 1;
        let is_all = loop {
            if !wave.count_rows(&self.reading, &until).await? {
                break false;
            }
            if groups.is_empty() {
                break true;
            }
            wave = Merge::of(groups.drain(..groups.len().min(groups_at_once)).flatten(), &range);
            groups_at_once = (groups_at_once * 2).min(COUNT_AT_ONCE);
        };
        Ok((until.counted.into_inner() + u64::try_from(read).unwrap_or(u64::MAX), is_all))
    }

    async fn look_up(&self, keys: Vec<(String, String)>) -> Result<Vec<Row>, StoreError> {
        let listed = self.reading.listed;
        let mut rows = listed.table.get_all(listed.action, keys).await?;
        rows.sort_by(|a, b| a.text("sk").ok().cmp(&b.text("sk").ok()));
        if self.reading.descending {
            rows.reverse();
        }
        Ok(rows)
    }
}

impl Groups {
    fn new(groups: VecDeque<Vec<String>>, range: &IdRange) -> Self {
        Self { current: None, later: groups, range: range.clone(), width: 1 }
    }

    fn of_days(days: &[DayShards], range: &IdRange, descending: bool) -> Self {
        let mut groups: VecDeque<_> = days.iter().map(|day| day.partitions().collect()).collect();
        if descending {
            groups.make_contiguous().reverse();
        }
        Self::new(groups, range)
    }

    /// Like [`Walk::next`]; the batch at the end of a group is empty.
    async fn next(&mut self, reading: &Reading<'_>, hint: usize) -> Result<Option<Vec<Row>>, StoreError> {
        let merge = match &mut self.current {
            Some(merge) => merge,
            None if self.later.is_empty() => return Ok(None),
            current @ None => {
                let next = self.later.drain(..self.later.len().min(self.width)).flatten();
                let merge = Merge::of(next, &self.range);
                // Retention may have emptied hundreds of days in a row.
                self.width = (self.width * 2).min(DAYS_AT_ONCE);
                current.insert(merge)
            }
        };
        match merge.next(reading, hint).await? {
            Some(found) => {
                self.width = 1;
                Ok(Some(found))
            }
            None => {
                self.current = None;
                Ok(Some(Vec::new()))
            }
        }
    }
}

/// The parts of a list by indexes.
async fn by_indexes(
    indexes: &[Index],
    plan: &Plan,
    days: &Days,
    descending: bool,
) -> Result<VecDeque<Rest>, StoreError> {
    let functions = indexes.iter().filter(|index| matches!(index, Index::Functions(_)));
    let functions: Vec<_> = functions.cloned().collect();
    if functions.len() == indexes.len() {
        return Ok([Rest::Indexed(join(&functions, &IdRange::new(plan.ids), 0))].into());
    }
    let days = days.all().await?;
    let is_marked = wholly_marked(&days);
    let days: Vec<_> = days.into_iter().zip(is_marked).collect();
    // Each run of days that have marks, or have none, with the first id after it.
    let mut parts = VecDeque::new();
    let mut after = days.len();
    for run in days.chunk_by(|(_, a), (_, b)| a == b).rev() {
        let first = run.first().and_then(|(day, _)| day.first_id()).unwrap_or(plan.ids.0);
        let end = days.get(after).and_then(|(day, _)| day.first_id()).map_or(ObjectId::LAST, ObjectId::predecessor);
        after -= run.len();
        let ids = (first.max(plan.ids.0), end.min(plan.ids.1));
        if ids.0 > ids.1 {
            continue;
        }
        let range = IdRange::new(ids);
        let shards = run.iter().map(|(day, _)| day.shards).max().unwrap_or(1);
        parts.push_front(match run {
            [(_, true), ..] => Rest::Indexed(join(indexes, &range, shards)),
            _ if functions.is_empty() => {
                let days: Vec<_> = run.iter().map(|(day, _)| day.clone()).collect();
                Rest::Groups(Groups::of_days(&days_of(plan, days), &range, descending))
            }
            _ => Rest::Indexed(join(&functions, &range, shards)),
        });
    }
    if descending {
        parts.make_contiguous().reverse();
    }
    Ok(parts)
}

fn join(indexes: &[Index], range: &IdRange, shards: u8) -> Join {
    let merges = indexes.iter().map(|index| match index {
        Index::Functions(names) => Merge::by_function(names, range),
        Index::Marks(marks) => {
            let partitions = marks.iter().flat_map(|mark| (0..shards).map(|shard| mark.partition(shard)));
            Merge::of(partitions, range)
        }
    });
    Join::of(merges.collect())
}

/// The days in which the plan's ids can be.
fn days_of(plan: &Plan, days: Vec<DayShards>) -> Vec<DayShards> {
    let range = (plan.ids.0.time().day(), plan.ids.1.time().day());
    days.into_iter().filter(|day| (&range.0..=&range.1).contains(&&day.day)).collect()
}

/// The keys of the records that these rows of an index lead to. A mark has only its Task's id.
async fn keys_in(listed: &Listed, found: &[Row]) -> Result<Vec<(String, String)>, StoreError> {
    let mut keys = Vec::with_capacity(found.len());
    for row in found {
        let pk = row.text("pk")?;
        if Mark::is_in(pk) {
            keys.extend(keys_of(listed, [row.parse("sk")?].into_iter()).await?);
        } else {
            keys.push((pk.to_owned(), row.text("sk")?.to_owned()));
        }
    }
    Ok(keys)
}

/// The keys of the records with these ids, without ids of unknown days.
async fn keys_of(listed: &Listed, ids: impl Iterator<Item = ObjectId>) -> Result<Vec<(String, String)>, StoreError> {
    let mut keys = Vec::new();
    for id in ids {
        let partitions = match &listed.layout {
            Layout::ByDay(days) => days.partition_of(id).await?.map(|(partition, _)| partition).into_iter().collect(),
            Layout::AnyOf(partitions) => partitions.clone(),
        };
        keys.extend(partitions.into_iter().map(|partition| (partition, id.to_string())));
    }
    Ok(keys)
}
