//! Finds the Schedules that the engine has to look at.

use aws_sdk_dynamodb::operation::query::builders::QueryInputBuilder;
use tasklane_model::Timestamp;

use super::{ALL, BY_NEXT, ScheduleRecord, Schedules, row};
use crate::{
    StoreError,
    lanes::{time_key, time_of, timed},
    row::{Row, text},
    table::Partition,
};

/// A batch of Schedules whose next occurrence is due.
#[derive(Debug, Default)]
pub struct DueSchedules {
    /// The Schedules, earliest first.
    pub schedules: Vec<ScheduleRecord>,
    /// Why others of the batch could not be read. They stay due.
    pub unreadable: Vec<StoreError>,
    /// Where the next batch begins; `None` after the last one.
    pub next: Option<DuePosition>,
}

/// A position in the order in which Schedules become due.
///
/// A reader of all that is due continues here and does not read from the front again, because the front may consist of
/// Schedules that cannot be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePosition(String);

impl DuePosition {
    /// The position of this Schedule.
    pub fn of(record: &ScheduleRecord) -> Self {
        Self(timed(record.look.unwrap_or(Timestamp::EPOCH), record.schedule.id))
    }

    /// Behind the row with this key. A longer key is greater, and all keys of rows are equally long.
    fn behind(key: &str) -> Self {
        Self(format!("{key}/"))
    }
}

impl Schedules {
    /// At most `limit` Schedules that are due, because of their next occurrence or of one that waits, earliest first, from a
    /// position on or from the earliest.
    ///
    /// # Errors
    /// If the index or the table cannot be read at all. A Schedule that cannot be read does not hide the others.
    pub async fn due(
        &self,
        now: Timestamp,
        from: Option<&DuePosition>,
        limit: usize,
    ) -> Result<DueSchedules, StoreError> {
        let found = self.due_rows(now, from, limit).await?;
        let mut due = DueSchedules::default();
        if found.len() == limit
            && let Some(last) = found.last()
        {
            due.next = Some(DuePosition::behind(last.text("laneKey")?));
        }
        let keys = found.iter().map(|row| Ok((ALL.to_owned(), row.text("sk")?.to_owned())));
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
        let query = self.by_next().key_condition_expression("#partition = :partition");
        let rows = self.first_rows(query, 1).await?;
        let first = rows
            .first()
            .map(|row| time_of(row.text("laneKey")?).ok_or_else(|| row.corrupt("its key in the index is not a time")));
        first.transpose()
    }

    /// The index's rows from a position on and up to a time.
    async fn due_rows(&self, now: Timestamp, from: Option<&DuePosition>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let below = format!("{}/", time_key(now));
        let query = match from {
            None => self.by_next_within("#key < :below"),
            // The clock was set back. DynamoDB refuses a range whose ends are in the wrong order.
            Some(DuePosition(from)) if *from >= below => return Ok(Vec::new()),
            Some(DuePosition(from)) => {
                self.by_next_within("#key BETWEEN :from AND :below").expression_attribute_values(":from", text(from))
            }
        };
        self.first_rows(query.expression_attribute_values(":below", text(below)), limit).await
    }

    fn by_next(&self) -> QueryInputBuilder {
        self.table.query(&Partition { index: Some("lane"), key: "lane", value: BY_NEXT })
    }

    /// The same, within a range of the `#key`.
    fn by_next_within(&self, range: &str) -> QueryInputBuilder {
        let condition = format!("#partition = :partition AND {range}");
        self.by_next().key_condition_expression(condition).expression_attribute_names("#key", "laneKey")
    }

    async fn first_rows(&self, query: QueryInputBuilder, limit: usize) -> Result<Vec<Row>, StoreError> {
        // Rows of the index are small: as many as a ticker requests fit in one response of 1 MB.
        let query = query.limit(i32::try_from(limit.max(1)).unwrap_or(i32::MAX));
        let items = self.table.page("find the due schedules", &query).await?.items.unwrap_or_default();
        Ok(items.into_iter().map(|item| Row::projected(self.table.name(), item)).collect())
    }
}
