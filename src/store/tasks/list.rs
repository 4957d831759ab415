//! Lists of Tasks.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tasklane_model::{Json, ObjectId, Page, TaskStatus, Timestamp};
use tasklane_rql::{Comparison, FieldPath, Filter, Query, Value, Window};

use crate::{
    QueueLane, StoreError, Tasks,
    lanes::IndexLane,
    list::{Budgets, Layout, Listed, Plan, Source, matching_among, page, public},
    row::Row,
};

use super::{marks::Mark, queue::LANES_AT_ONCE, row};

/// The most Tasks to collect from the lanes and the register of runs. If there are more, the list goes by days or by the
/// Function's index.
const GATHERED: usize = 5_000;

/// Some of the Tasks that match a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// Their ids, ascending.
    pub ids: Vec<ObjectId>,
    /// Where to go on: behind this id. `None` if these are all.
    pub next: Option<ObjectId>,
}

impl Tasks {
    /// The Tasks that match the query, in their public form.
    pub async fn list(&self, query: &Query, now: Timestamp) -> Result<Page<Json>, StoreError> {
        let listed = self.listed();
        self.page_of(&listed, query, now).await
    }

    /// The ids of the Tasks that match a filter, ascending: those behind `after` and before `before`, at most `limit`,
    /// as many as are found within a time.
    pub async fn matching(
        &self,
        filter: &Filter,
        (after, before): (Option<ObjectId>, Option<ObjectId>),
        limit: u64,
        within: Duration,
    ) -> Result<Matching, StoreError> {
        let bound = |op, id| Filter::Compare { field: FieldPath::new(["id"]), op, value: Value::Id(id) };
        let bounds = [after.map(|id| bound(Comparison::Gt, id)), before.map(|id| bound(Comparison::Lt, id))];
        let filter = Filter::And(bounds.into_iter().flatten().chain([filter.clone()]).collect());
        let query = Query {
            filter: Some(filter),
            window: Window { limit, offset: 0 },
            select: Some(Vec::new()),
            skip_count: true,
            ..Query::everything()
        };
        let budgets = Budgets { query: within, ..self.budgets.clone() };
        let listed = Listed { ids_only: true, budgets, ..self.listed() };
        let page = self.page_of(&listed, &query, self.clock.now()).await?;
        let ids = page.data.iter().map(read_id).collect::<Result<Vec<_>, _>>()?;
        let is_full = u64::try_from(ids.len()).unwrap_or(u64::MAX) >= limit;
        let next = if is_full { ids.last().copied() } else { page.page.next };
        Ok(Matching { ids, next })
    }

    /// Those of these Tasks that a list with this query's filter would show, as it would show them, and whether there was time
    /// to look at all of them. In no particular order.
    pub async fn matching_among(
        &self,
        ids: &[ObjectId],
        query: &Query,
        now: Timestamp,
    ) -> Result<(Vec<(ObjectId, Json)>, bool), StoreError> {
        matching_among(&self.listed(), self.rows_with(ids).await?, query, now).await
    }

    fn listed(&self) -> Listed {
        Listed {
            action: "list the tasks",
            table: self.table.clone(),
            layout: Layout::ByDay(self.days.clone()),
            time_field: "creationTimestamp",
            expire: self.retention.is_some(),
            decode,
            data: Some(self.data.clone()),
            ids_only: false,
            budgets: self.budgets.clone(),
            clock: std::sync::Arc::clone(&self.clock),
        }
    }

    async fn page_of(&self, listed: &Listed, query: &Query, now: Timestamp) -> Result<Page<Json>, StoreError> {
        let mut plan = Plan::new(query, listed.time_field);
        if let Source::Everything | Source::Indexed(_) = plan.source
            && let Some(statuses) = unfinished_only(query)
            && let Some(ids) = self.gather(&statuses).await?
        {
            plan.source = Source::Ids(ids);
        }
        let marks = query.filter.as_ref().map_or_else(Vec::new, Mark::required_by);
        page(listed, &plan.with_marks(marks), query, now).await
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

/// The id of a record that was reduced to its id.
fn read_id(record: &Json) -> Result<ObjectId, StoreError> {
    #[derive(serde::Deserialize)]
    struct Reduced {
        id: ObjectId,
    }
    let read: Result<Reduced, _> = serde_json::from_str(record.as_str());
    read.map(|reduced| reduced.id).map_err(|error| StoreError::unavailable("read the ids of the tasks", error))
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
