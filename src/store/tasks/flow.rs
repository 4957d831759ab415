//! Moves due Tasks of Functions with a flow: behind the gate of their key, and out of there when their turn comes.
//!
//! All of them are in their Function's own lane (see [`Place`]).

use aws_sdk_dynamodb::types::Select;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tasklane_model::{FlowKey, FunctionName, ObjectId};

use crate::{
    Candidate, GateId, Place, QueueLane, ReadyKey, StoreError, TaskRecord, Tasks,
    change::Change,
    lanes::IndexLane,
    row::{number, text},
    table::{Partition, Written},
};

use super::{
    queue::{Keys, candidate, in_place},
    row,
};

/// The first format with Tasks that take turns.
const FORMAT: u32 = 2;

/// How many partitions of the index are counted at once.
const AT_ONCE: usize = 8;

impl Tasks {
    /// The first due Tasks of a Function that are in the queue, at most `limit`, best first.
    pub async fn queued_of(&self, function: &FunctionName, limit: usize) -> Result<Vec<Candidate>, StoreError> {
        self.candidates_of(function, Keys::QUEUED, limit).await
    }

    /// The first Tasks behind a gate, at most `limit`, best first.
    pub async fn held_by(
        &self,
        function: &FunctionName,
        gate: &GateId,
        limit: usize,
    ) -> Result<Vec<Candidate>, StoreError> {
        self.candidates_of(function, Keys::With(&Place::held_by(gate)), limit).await
    }

    async fn candidates_of(
        &self,
        function: &FunctionName,
        keys: Keys<'_>,
        limit: usize,
    ) -> Result<Vec<Candidate>, StoreError> {
        let lane = QueueLane::Own(function.clone());
        let rows = self.lane_rows_with(&IndexLane::Ready(&lane), keys, Some(limit)).await?;
        let mut candidates = rows.iter().map(|row| candidate(&lane, row)).collect::<Result<Vec<_>, _>>()?;
        candidates.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(candidates)
    }

    /// How many Tasks are behind a gate, counted up to `most`.
    pub async fn count_held(&self, function: &FunctionName, gate: &GateId, most: u64) -> Result<u64, StoreError> {
        let (lane, prefix) = (QueueLane::Own(function.clone()), Place::held_by(gate));
        let shards = self.days.lane_shards().await?;
        let counts: Vec<_> = (0..shards)
            .map(|shard| self.count_with(IndexLane::Ready(&lane).partition(shard), Keys::With(&prefix), most))
            .collect();
        let counted: Vec<u64> = stream::iter(counts).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(counted.into_iter().sum::<u64>().min(most))
    }

    /// How many Tasks behind a gate come before this position, counted up to `most`.
    pub async fn count_held_before(
        &self,
        function: &FunctionName,
        gate: &GateId,
        position: &ReadyKey,
        most: u64,
    ) -> Result<u64, StoreError> {
        let lane = QueueLane::Own(function.clone());
        let (from, to) = (Place::held_by(gate), Place::Held(gate.clone()).lane_key(position));
        let shards = self.days.lane_shards().await?;
        let mut counted = 0;
        for shard in 0..shards {
            let keys = Keys::Between(&from, &to);
            counted += self.count_with(IndexLane::Ready(&lane).partition(shard), keys, most).await?;
        }
        // The position itself is one of them.
        Ok(counted.saturating_sub(1).min(most))
    }

    async fn count_with(&self, partition: String, keys: Keys<'_>, most: u64) -> Result<u64, StoreError> {
        let (mut counted, mut start) = (0, None);
        while counted < most {
            let query = keys
                .limit(self.table.query(&Partition { index: Some("lane"), key: "lane", value: &partition }))
                .select(Select::Count)
                .limit(i32::try_from(most - counted).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start);
            let page = self.table.page("count the tasks of a key", &query).await?;
            counted += u64::try_from(page.count).unwrap_or(0);
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                break;
            }
        }
        Ok(counted)
    }

    /// The Tasks with these ids that exist, with their data.
    pub async fn records(&self, ids: &[ObjectId]) -> Result<Vec<TaskRecord>, StoreError> {
        let rows = self.rows_with(ids).await?;
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            records.push(row::read(&self.data.attach(row).await?)?);
        }
        Ok(records)
    }

    /// The Tasks with these ids that exist; without data that has a row of its own.
    pub async fn records_without_data(&self, ids: &[ObjectId]) -> Result<Vec<TaskRecord>, StoreError> {
        self.rows_with(ids).await?.iter().map(row::read_as_it_is).collect()
    }

    /// The key that a Task takes turns by, if it was due and its Function has a flow.
    pub async fn flow_of(&self, id: ObjectId) -> Result<Option<FlowKey>, StoreError> {
        let Some(row) = self.rows_with(&[id]).await?.pop() else { return Ok(None) };
        row::flow(&row)
    }

    /// Moves a due Task to another place of its lane, and notes its flow key. The Task as it is there; `None` if it is in neither
    /// place.
    pub async fn move_in_lane(
        &self,
        candidate: &Candidate,
        place: Place,
        key: ReadyKey,
        flow: &FlowKey,
    ) -> Result<Option<Candidate>, StoreError> {
        let Some((partition, shard)) = self.days.partition_of(candidate.id).await? else { return Ok(None) };
        let moved = Candidate { place, key, ..candidate.clone() };
        let lane = IndexLane::Ready(&candidate.lane);
        let change = Change::new()
            .set("laneKey", text(moved.lane_key()))
            .set(row::FLOW, text(flow.as_str()))
            .set("v", number(FORMAT))
            .when(in_place(&lane, shard, &candidate.lane_key()));
        let id = candidate.id.to_string();
        match self.table.update("move the task in its lane", &partition, &id, change).await? {
            Written::Done(_) => Ok(Some(moved)),
            Written::Refused(Some(row)) => {
                // Another process may have moved it there, to a key of its own.
                let there = row.optional_text("laneKey")?.map(Place::of).filter(|(place, _)| *place == moved.place);
                let is_same_lane = row.optional_text("lane")? == Some(&lane.partition(shard));
                Ok(there.filter(|_| is_same_lane).map(|(place, key)| Candidate { place, key, ..moved }))
            }
            Written::Refused(None) => Ok(None),
        }
    }
}
