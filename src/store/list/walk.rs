//! Reads records in id order across partitions.
//!
//! A record is found in one of three ways: by an id in the query; through the index by Function, whose rows contain the
//! record's key; or by its day. Days are read one after another, or many at once if they turn out to be empty.

use std::{collections::VecDeque, sync::atomic::AtomicU64};

use tasklane_model::{ObjectId, Timestamp};

use crate::{StoreError, row::Row};

use super::{
    Layout, Listed, Plan, Source,
    cursor::{COUNT_AT_ONCE, CountUntil, Merge, Reading},
    plan::Order,
};

/// How many records are read by key at once.
const LOOK_UP: usize = 100;
/// The most days that are read at once, if days turn out to be empty.
const DAYS_AT_ONCE: usize = 32;

/// Reads the records of a plan in order, in batches.
pub(super) struct Walk<'a> {
    reading: Reading<'a>,
    rest: Rest,
    can_count: bool,
}

/// What remains to be read.
enum Rest {
    /// Records to read by id.
    Ids(VecDeque<ObjectId>),
    /// Records that an index refers to.
    Keys(Merge),
    Groups(Groups),
}

/// Groups of partitions, such as the shards of a day, in order.
struct Groups {
    /// The groups that are being read now.
    current: Option<Merge>,
    /// The groups after them.
    later: VecDeque<Vec<String>>,
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
                Rest::Ids(ids.into())
            }
            (Source::Functions(names), Layout::ByDay(_)) => Rest::Keys(Merge::by_function(names)),
            (Source::Everything, Layout::ByDay(days)) => {
                let range = (plan.ids.0.time().day(), plan.ids.1.time().day());
                let days = days.all().await?.into_iter().filter(|day| (&range.0..=&range.1).contains(&&day.day));
                let mut groups: VecDeque<_> = days.map(|day| day.partitions().collect()).collect();
                if descending {
                    groups.make_contiguous().reverse();
                }
                Rest::Groups(Groups::new(groups))
            }
            (Source::Functions(_) | Source::Everything, Layout::One(partition)) => {
                Rest::Groups(Groups::new([vec![(*partition).to_owned()]].into()))
            }
        };
        let can_count = plan.is_exact
            && match (&plan.source, &listed.layout) {
                (Source::Everything, Layout::ByDay(_) | Layout::One(_)) => true,
                (Source::Functions(_), Layout::ByDay(_)) => !listed.expire,
                (Source::Functions(_), Layout::One(_)) | (Source::Ids(_), _) => false,
            };
        let range = (plan.ids.0.to_string(), plan.ids.1.to_string());
        Ok(Self { reading: Reading { listed, range, descending }, rest, can_count })
    }

    /// Whether the rest can be counted without reading it, because all of it matches the filter.
    pub(super) fn can_count(&self) -> bool {
        self.can_count
    }

    /// About `hint` next records; `None` at the end. A batch may be empty before that.
    pub(super) async fn next(&mut self, hint: usize) -> Result<Option<Vec<Row>>, StoreError> {
        let keys = match &mut self.rest {
            Rest::Ids(ids) if ids.is_empty() => return Ok(None),
            Rest::Ids(ids) => keys_of(self.reading.listed, ids.drain(..ids.len().min(LOOK_UP))).await?,
            Rest::Keys(merge) => {
                let Some(found) = merge.next(&self.reading, hint.clamp(1, LOOK_UP)).await? else { return Ok(None) };
                let key = |row: &Row| Ok((row.text("pk")?.to_owned(), row.text("sk")?.to_owned()));
                found.iter().map(key).collect::<Result<_, StoreError>>()?
            }
            Rest::Groups(groups) => return groups.next(&self.reading, hint).await,
        };
        self.look_up(keys).await.map(Some)
    }

    /// Counts the rest without reading it, up to about `most` records and until `deadline`. Returns the count, and
    /// whether that is all. See [`Walk::can_count`].
    pub(super) async fn count_rest(self, most: u64, deadline: Timestamp) -> Result<(u64, bool), StoreError> {
        let (mut wave, mut groups) = match self.rest {
            Rest::Ids(_) => (Merge::of([]), VecDeque::new()),
            Rest::Keys(merge) => (merge, VecDeque::new()),
            Rest::Groups(Groups { current, later, .. }) => (current.unwrap_or_else(|| Merge::of([])), later),
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
            wave = Merge::of(groups.drain(..groups.len().min(groups_at_once)).flatten());
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
    fn new(groups: VecDeque<Vec<String>>) -> Self {
        Self { current: None, later: groups, width: 1 }
    }

    /// Like [`Walk::next`]; the batch at the end of a group is empty.
    async fn next(&mut self, reading: &Reading<'_>, hint: usize) -> Result<Option<Vec<Row>>, StoreError> {
        let merge = match &mut self.current {
            Some(merge) => merge,
            None if self.later.is_empty() => return Ok(None),
            current @ None => {
                let next = self.later.drain(..self.later.len().min(self.width)).flatten();
                let merge = Merge::of(next);
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

/// The keys of the records with these ids, without ids of unknown days.
async fn keys_of(listed: &Listed, ids: impl Iterator<Item = ObjectId>) -> Result<Vec<(String, String)>, StoreError> {
    let mut keys = Vec::new();
    for id in ids {
        let partition = match &listed.layout {
            Layout::ByDay(days) => days.partition_of(id).await?.map(|(partition, _)| partition),
            Layout::One(partition) => Some((*partition).to_owned()),
        };
        keys.extend(partition.map(|partition| (partition, id.to_string())));
    }
    Ok(keys)
}
