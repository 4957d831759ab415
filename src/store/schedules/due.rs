//! Finds the Schedules that the engine has to look at.

use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use futures::future::try_join_all;
use tasklane_model::Timestamp;

use super::{ScheduleRecord, Schedules, parts::SchedulePart, row};
use crate::{
    StoreError,
    lanes::{time_key, time_of, timed},
    row::{Row, text},
    table::Partition,
};

/// A batch of Schedules whose next occurrence is due, all of one part.
#[derive(Debug, Default)]
pub struct DueSchedules {
    /// The Schedules, earliest first.
    pub schedules: Vec<ScheduleRecord>,
    /// Why others of the batch could not be read. They stay due.
    pub unreadable: Vec<StoreError>,
    /// Where the next batch begins; `None` after the last one.
    pub next: Option<DuePosition>,
}

/// A place in the order in which a reader goes through the due Schedules: part after part, and in each the earliest first.
///
/// A reader of all that is due continues here and does not read from the front again, because the front may consist of
/// Schedules that cannot be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePosition {
    part: SchedulePart,
    /// From this key on.
    key: Option<String>,
    /// The parts after this one.
    later: Vec<SchedulePart>,
}

impl DuePosition {
    /// Back to this Schedule, which was read from here on.
    #[must_use]
    pub fn at(&self, record: &ScheduleRecord) -> Self {
        let key = timed(record.look.unwrap_or(Timestamp::EPOCH), record.schedule.id);
        Self { part: record.part, key: Some(key), later: self.parts_behind(record.part) }
    }

    fn first_of(mut parts: Vec<SchedulePart>) -> Option<Self> {
        if parts.is_empty() {
            return None;
        }
        let part = parts.remove(0);
        Some(Self { part, key: None, later: parts })
    }

    fn parts_behind(&self, part: SchedulePart) -> Vec<SchedulePart> {
        let behind = self.later.iter().position(|later| *later == part).map_or(0, |index| index + 1);
        self.later[behind..].to_vec()
    }
}

impl Schedules {
    /// The place from which a reader finds everything that is due. Readers that begin at different parts do not get in each
    /// other's way; any number says which one.
    pub fn first_due(&self, first: u8) -> DuePosition {
        let mut parts = self.parts.all();
        let count = parts.len();
        parts.rotate_left(usize::from(first) % count);
        let part = parts.remove(0);
        DuePosition { part, key: None, later: parts }
    }

    /// At most `limit` Schedules of one part that are due, because of their next occurrence or of one that waits, from a
    /// position on. Parts with none are passed over.
    ///
    /// # Errors
    /// If the index or the table cannot be read at all. A Schedule that cannot be read does not hide the others.
    pub async fn due(&self, now: Timestamp, from: &DuePosition, limit: usize) -> Result<DueSchedules, StoreError> {
        let mut from = from.clone();
        let found = loop {
            let found = self.due_rows(now, &from, limit).await?;
            match DuePosition::first_of(from.later.clone()) {
                Some(next) if found.is_empty() => from = next,
                _ => break found,
            }
        };
        let mut due = DueSchedules { next: DuePosition::first_of(from.later.clone()), ..DueSchedules::default() };
        if found.len() == limit
            && let Some(last) = found.last()
        {
            // Behind that row. A longer key is greater, and all keys of rows are equally long.
            let behind = format!("{}/", last.text("laneKey")?);
            due.next = Some(DuePosition { key: Some(behind), ..from.clone() });
        }
        let partition = from.part.partition();
        let keys = found.iter().map(|row| Ok((partition.clone(), row.text("sk")?.to_owned())));
        let keys = keys.collect::<Result<Vec<_>, StoreError>>()?;
        for row in self.table.get_each("read the schedules", keys).await? {
            match row.and_then(|row| row::read(&row)) {
                // The index lags behind the rows, so check the rows.
                Ok(record) if record.look.is_some_and(|look| look <= now) => due.schedules.push(record),
                Ok(_) => {}
                Err(error) => due.unreadable.push(error),
            }
        }
        due.schedules.sort_by_key(|record| (record.look, record.schedule.id));
        Ok(due)
    }

    /// When the engine has to look at a Schedule next.
    pub async fn earliest(&self) -> Result<Option<Timestamp>, StoreError> {
        let reads = self.parts.all().into_iter().map(|part| self.earliest_of(part));
        Ok(try_join_all(reads).await?.into_iter().flatten().min())
    }

    async fn earliest_of(&self, part: SchedulePart) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.first_rows(part, "#partition = :partition", |query| query, 1).await?;
        let first = rows
            .first()
            .map(|row| time_of(row.text("laneKey")?).ok_or_else(|| row.corrupt("its key in the index is not a time")));
        first.transpose()
    }

    /// The index's rows from a position on, in its part, and up to a time.
    async fn due_rows(&self, now: Timestamp, from: &DuePosition, limit: usize) -> Result<Vec<Row>, StoreError> {
        let below = format!("{}/", time_key(now));
        let until = |query: QueryInputBuilder| {
            query.expression_attribute_names("#key", "laneKey").expression_attribute_values(":below", text(&below))
        };
        match &from.key {
            None => self.first_rows(from.part, "#partition = :partition AND #key < :below", until, limit).await,
            // The clock was set back. DynamoDB refuses a range whose ends are in the wrong order.
            Some(key) if *key >= below => Ok(Vec::new()),
            Some(key) => {
                let range = "#partition = :partition AND #key BETWEEN :from AND :below";
                let between = |query| until(query).expression_attribute_values(":from", text(key));
                self.first_rows(from.part, range, between, limit).await
            }
        }
    }

    async fn first_rows(
        &self,
        part: SchedulePart,
        condition: &str,
        with: impl FnOnce(QueryInputBuilder) -> QueryInputBuilder,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let query = self.table.query(&Partition { index: Some("lane"), key: "lane", value: &part.by_next() });
        // Rows of the index are small: as many as a ticker requests fit in one response of 1 MB.
        let query = query.key_condition_expression(condition).limit(i32::try_from(limit.max(1)).unwrap_or(i32::MAX));
        let items = self.table.page("find the due schedules", &with(query)).await?.items.unwrap_or_default();
        Ok(items.into_iter().map(|item| Row::projected(self.table.name(), item)).collect())
    }
}
