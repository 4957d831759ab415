//! The queue: finds the next Tasks and claims them.

use std::collections::HashSet;

use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tasklane_model::{Lane, TaskStatus, Timestamp};

use crate::{
    Candidate, ClaimOutcome, Place, QueueLane, ReadyKey, Run, RunsIn, StoreError, TaskRecord, Tasks,
    change::{Change, Condition},
    lanes::IndexLane,
    row::{Row, text, time},
    table::{Partition, Written},
};

use super::{
    expiring::{has_expired, may_start},
    row,
};

/// How many partitions of the index are read at once, of each lane and of all lanes: each read may need its own
/// connection, and file descriptors are limited. There may be as many lanes as Functions, each with as many parts as
/// there are shards.
pub(super) const LANES_AT_ONCE: usize = 8;
const SHARDS_AT_ONCE: usize = 8;
/// How many partitions of the index one look reads at once.
const PARTITIONS_AT_ONCE: usize = 16;

/// Which shards a look at the queue reads. With more of them than it reads at once, Tasks are claimed in the order of some
/// shards at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards {
    /// The number of the first one. Any number, so that it can be drawn.
    pub first: u8,
    /// How many it reads at once.
    pub at_once: usize,
    /// With how many candidates it is content. With fewer it reads the next shards, until it has read all.
    pub enough: usize,
    /// If there are no more shards than this, it reads all of them, so that Tasks are claimed in their order.
    pub all_up_to: usize,
}

impl Shards {
    const ALL: Self = Self { first: 0, at_once: usize::MAX, enough: usize::MAX, all_up_to: usize::MAX };
}

/// The first due Tasks of some shards.
#[derive(Debug, Default)]
pub struct Heads {
    /// The candidates, best first.
    pub candidates: Vec<Candidate>,
    /// Whether there may be others behind them, because a partition may hold more than was read of it.
    pub is_cut: bool,
}

impl Tasks {
    /// The first due Tasks of these lanes in some shards, at most `limit` of each partition, without those that the caller
    /// knows to be gone.
    pub async fn heads_of_shards(
        &self,
        lanes: &[QueueLane],
        limit: usize,
        Shards { first, at_once, enough, all_up_to }: Shards,
        is_gone: impl Fn(&Candidate) -> bool,
    ) -> Result<Heads, StoreError> {
        let shards = self.days.lane_shards().await?;
        let mut heads = Heads::default();
        // Behind the last row that was read of a partition, there may be better Tasks than the others' next ones.
        let mut known_up_to: Option<ReadyKey> = None;
        // One after the other, beginning anywhere, each once.
        let order: Vec<u8> = (0..shards).map(|step| (first % shards + step) % shards).collect();
        let at_once = if order.len() <= all_up_to { order.len() } else { at_once }.max(1);
        for few in order.chunks(at_once) {
            let parts: Vec<_> = few.iter().flat_map(|shard| lanes.iter().map(move |lane| (lane, *shard))).collect();
            // Collected first, because the compiler does not accept a stream of closures that borrow here.
            let reads: Vec<_> = parts.into_iter().map(|(lane, shard)| self.heads_of_part(lane, shard, limit)).collect();
            let mut reads = stream::iter(reads).buffered(PARTITIONS_AT_ONCE);
            while let Some(mut found) = reads.try_next().await? {
                if found.len() >= limit {
                    heads.is_cut = true;
                    let last = found.last().filter(|_| found.iter().all(|candidate| candidate.place == Place::Queued));
                    known_up_to = known_up_to.into_iter().chain(last.map(|candidate| candidate.key.clone())).min();
                }
                found.retain(|candidate| !is_gone(candidate));
                heads.candidates.extend(found);
            }
            if heads.candidates.len() >= enough {
                break;
            }
        }
        heads.candidates.retain(|candidate| known_up_to.as_ref().is_none_or(|last| candidate.key <= *last));
        heads.candidates.sort_by(|a, b| a.key.cmp(&b.key));
        self.look_days_up(&heads.candidates).await?;
        Ok(heads)
    }

    async fn heads_of_part(&self, lane: &QueueLane, shard: u8, limit: usize) -> Result<Vec<Candidate>, StoreError> {
        let partition = IndexLane::Ready(lane).partition(shard);
        let rows = self.lane_shard_rows(partition.clone(), Keys::All, Some(limit)).await?;
        let mut found = rows.iter().map(|row| candidate(lane, row)).collect::<Result<Vec<_>, _>>()?;
        if found.len() >= limit && found.iter().any(|candidate| candidate.place != Place::Queued) {
            // The admitted Tasks hide those in the queue, whose Functions may have no key for them.
            found.retain(|candidate| candidate.place != Place::Queued);
            let queued = self.lane_shard_rows(partition, Keys::QUEUED, Some(limit)).await?;
            found.extend(queued.iter().map(|row| candidate(lane, row)).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    }

    /// For each of these Tasks, whether its row says that it is still in its lane. Costs a read unit each, and tells what
    /// the index does not show yet.
    pub async fn are_queued(&self, candidates: &[Candidate]) -> Result<Vec<bool>, StoreError> {
        let mut keys = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let place = self.days.partition_of(candidate.id).await?;
            keys.extend(place.map(|(partition, _)| (partition, candidate.id.to_string())));
        }
        let mut gone = HashSet::new();
        for row in self.table.get_each("read the heads of the queue", keys).await? {
            // A row that cannot be read counts as queued: the claim says what is wrong with it.
            let Ok(row) = row else { continue };
            if matches!(row.parse::<TaskStatus>("status"), Ok(status) if status != TaskStatus::New) {
                gone.insert(row::id(&row)?);
            }
        }
        Ok(candidates.iter().map(|candidate| !gone.contains(&candidate.id)).collect())
    }

    /// The first due Tasks of all of these lanes, at most `limit`, best first. On AWS the index may lag behind by some
    /// milliseconds: a candidate may be gone, and a new Task may not be visible yet.
    pub async fn heads(&self, lanes: &[QueueLane], limit: usize) -> Result<Vec<Candidate>, StoreError> {
        let mut candidates = self.heads_of_shards(lanes, limit, Shards::ALL, |_| false).await?.candidates;
        candidates.truncate(limit);
        Ok(candidates)
    }

    /// Looks up the days of candidates before they are claimed: concurrent claims would not be sent in order if one of
    /// them had to look up its day first, or two of them the same day.
    async fn look_days_up(&self, candidates: &[Candidate]) -> Result<(), StoreError> {
        for candidate in candidates {
            self.days.partition_of(candidate.id).await?;
        }
        Ok(())
    }

    /// Like [`Tasks::try_claim`]; `None` if the Task cannot be claimed.
    pub async fn claim(
        &self,
        candidate: &Candidate,
        run: &Run,
        now: Timestamp,
    ) -> Result<Option<TaskRecord>, StoreError> {
        Ok(match self.try_claim(candidate, run, now).await? {
            ClaimOutcome::Claimed(record) => Some(*record),
            ClaimOutcome::Expired | ClaimOutcome::Lost => None,
        })
    }

    /// `new → inProgress`, by `run`, which is registered before.
    pub async fn try_claim(
        &self,
        candidate: &Candidate,
        run: &Run,
        now: Timestamp,
    ) -> Result<ClaimOutcome, StoreError> {
        let Some((partition, shard)) = self.days.partition_of(candidate.id).await? else {
            return Ok(ClaimOutcome::Lost);
        };
        let mut change = Change::new()
            .set("status", text(TaskStatus::InProgress.as_str()))
            .set("statusChanged", time(now))
            .set("updated", time(now))
            .when(may_start(in_place(&IndexLane::Ready(&candidate.lane), shard, &candidate.lane_key()), now));
        for (name, value) in self.in_progress(shard, candidate.id, run) {
            change = change.set(name, value);
        }
        change = match self.runs.kept_in() {
            RunsIn::Lane => change,
            RunsIn::Register => change.remove("lane").remove("laneKey"),
        };
        match self.table.update("claim the task", &partition, &candidate.id.to_string(), change).await? {
            Written::Done(Some(row)) => self.claimed(row).await,
            Written::Refused(Some(row)) if row::attempt(&row)?.as_ref() == Some(&run.attempt) => {
                self.claimed(row).await
            }
            Written::Refused(Some(row)) if has_expired(&row, now)? => Ok(ClaimOutcome::Expired),
            Written::Done(None) | Written::Refused(_) => Ok(ClaimOutcome::Lost),
        }
    }

    async fn claimed(&self, row: Row) -> Result<ClaimOutcome, StoreError> {
        Ok(ClaimOutcome::Claimed(Box::new(row::read(&self.data.attach_to_claimed(row).await?)?)))
    }

    /// Moves a due Task from the shared lane to its Function's own. `false` if it is no longer in the shared lane.
    pub async fn move_to_own_lane(&self, candidate: &Candidate) -> Result<bool, StoreError> {
        let Some((partition, shard)) = self.days.partition_of(candidate.id).await? else { return Ok(false) };
        self.own_lanes.register(Lane::Own, &candidate.function).await?;
        let own = QueueLane::Own(candidate.function.clone());
        let lane = IndexLane::Ready(&own).partition(shard);
        let change = Change::new()
            .set("lane", text(&lane))
            .set("queue", text(row::queue_name(Lane::Own)))
            .when(in_lane(&IndexLane::Ready(&QueueLane::Shared), shard));
        match self.table.update("move the task to its own lane", &partition, &candidate.id.to_string(), change).await? {
            Written::Done(_) => Ok(true),
            Written::Refused(Some(row)) => Ok(row.optional_text("lane")? == Some(&lane)),
            Written::Refused(None) => Ok(false),
        }
    }

    /// The index's rows of a lane, over all shards and in the lane's order: the first `limit`, or all of them, and only
    /// those before `below`, if given.
    pub(crate) async fn lane_rows(
        &self,
        lane: &IndexLane<'_>,
        below: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Vec<Row>, StoreError> {
        self.lane_rows_with(lane, below.map_or(Keys::All, Keys::Below), limit).await
    }

    /// [`Tasks::lane_rows`] with these keys.
    pub(super) async fn lane_rows_with(
        &self,
        lane: &IndexLane<'_>,
        keys: Keys<'_>,
        limit: Option<usize>,
    ) -> Result<Vec<Row>, StoreError> {
        let shards = self.days.lane_shards().await?;
        let parts: Vec<_> =
            (0..shards).map(|shard| self.lane_shard_rows(lane.partition(shard), keys.clone(), limit)).collect();
        let mut parts = stream::iter(parts).buffered(SHARDS_AT_ONCE).try_collect::<Vec<_>>().await?;
        let mut rows = match parts.len() {
            1 => parts.remove(0),
            _ => {
                let mut rows: Vec<_> = parts.into_iter().flatten().collect();
                rows.sort_by(|a, b| a.text("laneKey").ok().cmp(&b.text("laneKey").ok()));
                rows
            }
        };
        rows.truncate(limit.unwrap_or(usize::MAX));
        Ok(rows)
    }

    pub(super) async fn lane_shard_rows(
        &self,
        partition: String,
        keys: Keys<'_>,
        limit: Option<usize>,
    ) -> Result<Vec<Row>, StoreError> {
        const ACTION: &str = "read the queue";
        let base = || keys.limit(self.table.query(&Partition { index: Some("lane"), key: "lane", value: &partition }));
        let (mut rows, mut start) = (Vec::new(), None);
        loop {
            let wanted = limit.map(|limit| limit - rows.len());
            if wanted == Some(0) {
                return Ok(rows);
            }
            let query = base()
                .set_limit(wanted.map(|wanted| i32::try_from(wanted).unwrap_or(i32::MAX)))
                .set_exclusive_start_key(start);
            let page = self.table.page(ACTION, &query).await?;
            let items = page.items.unwrap_or_default();
            rows.extend(items.into_iter().map(|item| Row::projected(self.table.name(), item)));
            match page.last_evaluated_key {
                Some(key) if !key.is_empty() => start = Some(key),
                _ => return Ok(rows),
            }
        }
    }
}

/// Which keys of a partition of the index are read.
#[derive(Clone, Debug)]
pub(super) enum Keys<'a> {
    All,
    /// Those before this one.
    Below(&'a str),
    /// Those from the first one on and before the second one.
    Between(&'a str, &'a str),
    /// Those that begin with this.
    With(&'a str),
}

impl Keys<'static> {
    /// Those of the Tasks in the queue.
    pub(super) const QUEUED: Self = Self::Between(Place::QUEUED.0, Place::QUEUED.1);
}

impl Keys<'_> {
    pub(super) fn limit(&self, query: QueryInputBuilder) -> QueryInputBuilder {
        if let Self::All = self {
            return query.key_condition_expression("#partition = :partition");
        }
        let query = query.expression_attribute_names("#key", "laneKey");
        match self {
            Self::All => query,
            Self::Below(below) => query
                .key_condition_expression("#partition = :partition AND #key < :below")
                .expression_attribute_values(":below", text(*below)),
            Self::Between(from, to) => query
                .key_condition_expression("#partition = :partition AND #key BETWEEN :from AND :to")
                .expression_attribute_values(":from", text(*from))
                .expression_attribute_values(":to", text(*to)),
            Self::With(prefix) => query
                .key_condition_expression("#partition = :partition AND begins_with(#key, :prefix)")
                .expression_attribute_values(":prefix", text(*prefix)),
        }
    }
}

/// The Task is `new` and in this lane.
pub(super) fn in_lane(lane: &IndexLane<'_>, shard: u8) -> Condition {
    Condition::new("#status = :new AND #lane = :lane")
        .with("new", text(TaskStatus::New.as_str()))
        .with("lane", text(lane.partition(shard)))
}

/// The Task is `new` and in this place of this lane: neither its start nor, in a ready lane, its priority has changed.
pub(super) fn in_place(lane: &IndexLane<'_>, shard: u8, key: &str) -> Condition {
    in_lane(lane, shard).and("#laneKey = :key").with("key", text(key))
}

pub(crate) fn candidate(lane: &QueueLane, row: &Row) -> Result<Candidate, StoreError> {
    let (place, key) = Place::of(row.text("laneKey")?);
    Ok(Candidate { id: row::id(row)?, function: row::function(row)?, lane: lane.clone(), place, key })
}
