//! Lists of Tasks.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tasklane_model::{Json, ObjectId, Page, TaskStatus, Timestamp};
use tasklane_rql::Query;

use crate::{
    QueueLane, StoreError, Tasks,
    lanes::IndexLane,
    list::{Layout, Listed, Plan, Source, page, public},
    row::Row,
};

use super::{marks::Mark, queue::LANES_AT_ONCE, row};

/// The most Tasks to collect from the lanes and the register of runs. If there are more, the list goes by days or by the
/// Function's index.
const GATHERED: usize = 5_000;

impl Tasks {
    /// The Tasks that match the query, in their public form.
    pub async fn list(&self, query: &Query, now: Timestamp) -> Result<Page<Json>, StoreError> {
        let listed = Listed {
            action: "list the tasks",
            table: self.table.clone(),
            layout: Layout::ByDay(self.days.clone()),
            time_field: "creationTimestamp",
            expire: self.retention.is_some(),
            decode,
            data: Some(self.data.clone()),
            budgets: self.budgets.clone(),
            clock: std::sync::Arc::clone(&self.clock),
        };
        let mut plan = Plan::new(query, listed.time_field);
        if let Source::Everything | Source::Indexed(_) = plan.source
            && let Some(statuses) = unfinished_only(query)
            && let Some(ids) = self.gather(&statuses).await?
        {
            plan.source = Source::Ids(ids);
        }
        let marks = query.filter.as_ref().map_or_else(Vec::new, Mark::required_by);
        page(&listed, &plan.with_marks(marks), query, now).await
    }

    /// The ids of the Tasks in these states, ascending, collected from their lanes and the register of runs.
    /// `None` if there are too many.
    async fn gather(&self, statuses: &[TaskStatus]) -> Result<Option<Vec<ObjectId>>, StoreError> {
        let own: Vec<_> = self.own_lanes().await?.into_iter().map(QueueLane::Own).collect();
        let mut lanes = Vec::new();
        if statuses.contains(&TaskStatus::InProgress) {
            lanes.push(IndexLane::Running);
        }
        if statuses.contains(&TaskStatus::New) {
            lanes.extend([IndexLane::Waiting, IndexLane::Ready(&QueueLane::Shared)]);
            lanes.extend(own.iter().map(IndexLane::Ready));
        }
        let limit = GATHERED + 1;
        // Collected first, because the compiler does not accept a stream of closures that borrow here.
        let rows: Vec<_> = lanes.iter().map(|lane| self.lane_rows(lane, None, Some(limit))).collect();
        let rows: Vec<_> = stream::iter(rows).buffered(LANES_AT_ONCE).try_collect().await?;
        let mut ids = rows.iter().flatten().map(row::id).collect::<Result<Vec<_>, _>>()?;
        // After the lanes: a Task that is claimed meanwhile is registered before it leaves its lane.
        if statuses.contains(&TaskStatus::InProgress) {
            ids.extend(self.registered().await?);
        }
        if ids.len() >= limit {
            return Ok(None);
        }
        ids.sort();
        // A Task that moved while the lanes were read may be in two of them.
        ids.dedup();
        Ok(Some(ids))
    }
}

/// The states that the query asks for, if all Tasks in them are in lanes.
fn unfinished_only(query: &Query) -> Option<Vec<TaskStatus>> {
    let names = query.filter.as_ref()?.required_values("status")?;
    // A string that is not a state matches no Task.
    let statuses: Vec<TaskStatus> = names.into_iter().filter_map(|name| name.parse().ok()).collect();
    statuses.iter().all(|status| !status.is_final()).then_some(statuses)
}

fn decode(row: &Row) -> Result<Json, StoreError> {
    public(row, &row::read_as_it_is(row)?.task)
}
