//! The ticker's queries: Tasks that become due, and those whose end is not published yet.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tasklane_model::{ObjectId, Priority, Timestamp};

use crate::{
    QueueLane, ReadyKey, StoreError, TaskRecord, Tasks,
    change::{Change, Condition},
    lanes::{IndexLane, time_key, time_of},
    row::{EXPIRES, Row, number, text},
    table::Written,
};

use super::{queue::in_place, row};

/// How many rows are changed at once.
const AT_ONCE: usize = 8;

/// The result of a promotion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promoted {
    /// How many Tasks it made ready.
    pub moved: usize,
    /// How many Tasks were ready already: either another ticker promoted them, or the response to our own write was
    /// lost and the SDK repeated it. In the second case no other process has woken a dispatcher for them.
    pub found_ready: usize,
}

impl Tasks {
    /// Moves due Tasks from the waiting lane to their ready lanes, earliest first. Examines at most `limit` of them;
    /// another ticker may have moved some.
    pub async fn promote_due(&self, now: Timestamp, limit: usize) -> Result<Promoted, StoreError> {
        let rows = self.lane_rows(&IndexLane::Waiting, Some(&first_after(now)), Some(limit)).await?;
        let moves = rows.into_iter().map(|row| async move { self.promote(&row).await });
        let moved = stream::iter(moves).buffer_unordered(AT_ONCE);
        let add = async |sum: Promoted, one: Promoted| {
            Ok(Promoted { moved: sum.moved + one.moved, found_ready: sum.found_ready + one.found_ready })
        };
        moved.try_fold(Promoted::default(), add).await
    }

    /// When the first waiting Task is due.
    pub async fn earliest_waiting(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.lane_rows(&IndexLane::Waiting, None, Some(1)).await?;
        rows.first().map(lane_time).transpose()
    }

    /// When the Tasks are due that wait until this time, of the first `limit` of them.
    pub async fn waiting_until(&self, until: Timestamp, limit: usize) -> Result<Vec<Timestamp>, StoreError> {
        let rows = self.lane_rows(&IndexLane::Waiting, Some(&first_after(until)), Some(limit)).await?;
        rows.iter().map(lane_time).collect()
    }

    /// At most `limit` Tasks that have ended and whose events were not acknowledged, oldest first; without data that has a row of its own.
    pub async fn unpublished(&self, limit: usize) -> Result<Vec<TaskRecord>, StoreError> {
        let rows = self.lane_rows(&IndexLane::Unpublished, None, Some(limit)).await?;
        let mut read = self.rows_of(&rows).await?;
        read.retain(|row| row.optional_text("lane").ok().flatten().is_some());
        let mut records = read.iter().map(row::read_as_it_is).collect::<Result<Vec<_>, _>>()?;
        records.retain(|record| !record.unpublished.is_empty());
        records.sort_by_key(|record| (record.task.status_changed_timestamp, record.task.id));
        Ok(records)
    }

    /// Notes that the events of a Task that has ended were acknowledged. Idempotent.
    pub async fn mark_published(&self, id: ObjectId) -> Result<(), StoreError> {
        let Some((partition, shard)) = self.days.partition_of(id).await? else { return Ok(()) };
        let change = Change::new()
            // Not before, because a record must not expire before its event is published.
            .set_some(EXPIRES, self.expiry(self.clock.now()))
            .remove("lane")
            .remove("laneKey")
            .remove(row::UNPUBLISHED)
            .when(Condition::new("#lane = :lane").with("lane", text(IndexLane::Unpublished.partition(shard))));
        match self.table.update("note the published events", &partition, &id.to_string(), change).await? {
            Written::Done(row) => self.let_companions_expire(row.as_ref(), shard, self.clock.now()).await,
            Written::Refused(_) => {}
        }
        Ok(())
    }

    /// Forgets the lanes of single Functions that nothing has entered for a while and that are empty. Returns how many.
    pub async fn forget_idle_lanes(&self) -> Result<usize, StoreError> {
        let mut forgotten = 0;
        for lane in self.own_lanes.idle().await? {
            let own = QueueLane::Own(lane.function.clone());
            if self.lane_rows(&IndexLane::Ready(&own), None, Some(1)).await?.is_empty() {
                self.own_lanes.forget(&lane).await?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    async fn promote(&self, waiting: &Row) -> Result<Promoted, StoreError> {
        let (id, function, queue) = (row::id(waiting)?, row::function(waiting)?, row::queue(waiting)?);
        let priority = Priority::new(waiting.number("priority")?).map_err(|error| waiting.corrupt(error))?;
        let Some((partition, shard)) = self.days.partition_of(id).await? else { return Ok(Promoted::default()) };
        let lane = QueueLane::of(queue, &function);
        self.own_lanes.register(queue, &function).await?;
        let key = ReadyKey::new(priority, lane_time(waiting)?, id);
        let ready = IndexLane::Ready(&lane).partition(shard);
        let change = Change::new()
            .set("lane", text(&ready))
            .set("laneKey", text(key.as_str()))
            // The new key is made of what the index shows, and that may have changed.
            .when(
                in_place(&IndexLane::Waiting, shard, waiting.text("laneKey")?)
                    .and("#priority = :priority")
                    .with("priority", number(priority)),
            );
        Ok(match self.table.update("promote the task", &partition, &id.to_string(), change).await? {
            Written::Done(_) => Promoted { moved: 1, found_ready: 0 },
            Written::Refused(Some(row)) if row.optional_text("lane")? == Some(&ready) => {
                Promoted { moved: 0, found_ready: 1 }
            }
            Written::Refused(_) => Promoted::default(),
        })
    }

    pub(super) async fn records_of(&self, rows: &[Row]) -> Result<Vec<TaskRecord>, StoreError> {
        self.rows_of(rows).await?.iter().map(row::read_as_it_is).collect()
    }

    /// The rows that the index refers to, strongly consistent.
    async fn rows_of(&self, rows: &[Row]) -> Result<Vec<Row>, StoreError> {
        let keys = rows.iter().map(|row| Ok((row.text("pk")?.to_owned(), row.text("sk")?.to_owned())));
        self.table.get_all("read the tasks", keys.collect::<Result<Vec<_>, StoreError>>()?).await
    }
}

/// A key that sorts after all keys of this time and before all later ones.
pub(super) fn first_after(now: Timestamp) -> String {
    format!("{}/", time_key(now))
}

fn lane_time(row: &Row) -> Result<Timestamp, StoreError> {
    time_of(row.text("laneKey")?).ok_or_else(|| row.corrupt("its key in its lane is not a time"))
}
