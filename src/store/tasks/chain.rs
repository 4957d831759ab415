//! Reads whole chains of retries.

use tasklane_model::ObjectId;

use crate::{StoreError, TaskRecord, Tasks};

use super::row;

impl Tasks {
    /// The Tasks of this Task's chain, oldest first, without those that have expired and without data that has a row of
    /// its own. `None` if there is no such Task.
    pub async fn chain(&self, id: ObjectId) -> Result<Option<Vec<TaskRecord>>, StoreError> {
        let Some(mut last) = self.records_that_remain(&[id]).await?.pop() else { return Ok(None) };
        // Only the last one names all others. A policy allows at most 50 retries, so this ends.
        while let Some(next) = last.task.retried_by_task_id {
            match self.records_that_remain(&[next]).await?.pop() {
                Some(record) => last = record,
                None => break,
            }
        }
        let mut chain = self.records_that_remain(&last.task.retry_for_task_ids).await?;
        chain.push(last);
        // Ids of one chain ascend only as far as clocks agree; each Task names all that came before it.
        chain.sort_by_key(|record| record.task.retry_for_task_ids.len());
        Ok(Some(chain))
    }

    /// Whether this Task and its retries have ended. A Task that is gone has.
    pub async fn has_chain_ended(&self, id: ObjectId) -> Result<bool, StoreError> {
        let mut id = id;
        loop {
            match self.records_that_remain(&[id]).await?.pop() {
                None => return Ok(true),
                Some(record) => match record.task.retried_by_task_id {
                    Some(next) => id = next,
                    None => return Ok(record.task.status.is_final()),
                },
            }
        }
    }

    async fn records_that_remain(&self, ids: &[ObjectId]) -> Result<Vec<TaskRecord>, StoreError> {
        let rows = self.rows_with(ids).await?;
        let now = self.clock.now();
        rows.iter().filter(|row| !row.is_expired(now)).map(row::read_as_it_is).collect()
    }
}
