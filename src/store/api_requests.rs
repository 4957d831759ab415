//! The table of API Requests.

use std::{sync::Arc, time::Duration};

use tasklane_model::{ApiRequest, Json, ObjectId, Page, Timestamp, task::cut_error};
use tasklane_ports::Clock;
use tasklane_rql::Query;

use super::{
    StoreError,
    change::Condition,
    days::Days,
    list::{Budgets, Layout, Listed, Plan, page, public},
    row::{EXPIRES, NewRow, Row, json, number, text},
    table::{Table, Written},
    transaction::Transacted,
};

const ADD: &str = "add the API request";
/// How many are added per transaction: each has at most 50 KB, and DynamoDB allows 100 rows and 4 MB.
const AT_ONCE: usize = 50;

#[derive(Clone)]
pub struct ApiRequests {
    pub(super) table: Table,
    pub(super) days: Days,
    pub(super) budgets: Budgets,
    pub(super) retention: Option<Duration>,
    pub(super) clock: Arc<dyn Clock>,
}

impl ApiRequests {
    /// Adds one, idempotently. An error's message longer than 32 KB is cut.
    pub async fn put(&self, request: &ApiRequest) -> Result<(), StoreError> {
        let row = self.new_row(request).await?;
        match self.table.put(ADD, row, Condition::new("")).await? {
            Written::Done(_) | Written::Refused(_) => Ok(()),
        }
    }

    /// Adds many, like [`ApiRequests::put`], in few transactions. That is cheaper than single writes on one machine,
    /// where a sync of the disk costs most; on AWS, where writes cost money, it is more expensive. After an error some
    /// of them may have been added.
    pub async fn put_all(&self, requests: &[ApiRequest]) -> Result<(), StoreError> {
        for requests in requests.chunks(AT_ONCE) {
            let mut parts = Vec::with_capacity(requests.len());
            for request in requests {
                parts.push(self.table.to_put(ADD, self.new_row(request).await?)?);
            }
            match self.table.transact(ADD, parts).await? {
                Transacted::Done | Transacted::Refused(_) => {}
            }
        }
        Ok(())
    }

    async fn new_row(&self, request: &ApiRequest) -> Result<NewRow, StoreError> {
        let (partition, _) = self.days.partition_for(request.id).await?;
        let mut row = NewRow::new(partition, request.id);
        row.set("function", text(request.function_name.as_str()));
        let mut record = request.clone();
        if let Some(error) = &mut record.error {
            (error.name, error.message) = cut_error(&error.name, &error.message);
        }
        row.set("record", json(&record));
        row.set_some("requestId", request.request_id.as_deref().map(text));
        let expiry = self.retention.map(|retention| request.timestamp.saturating_add(retention));
        row.set_some(EXPIRES, expiry.map(|expiry| number(expiry.as_secs())));
        Ok(row)
    }

    /// Reads one, strongly consistent.
    pub async fn get(&self, id: ObjectId) -> Result<Option<ApiRequest>, StoreError> {
        let Some((partition, _)) = self.days.partition_of(id).await? else { return Ok(None) };
        match self.table.get("read the API request", &partition, &id.to_string()).await? {
            Some(row) if !row.is_expired(self.clock.now()) => Ok(Some(read(&row)?)),
            Some(_) | None => Ok(None),
        }
    }

    /// The API Requests that match the query, in their public form.
    pub async fn list(&self, query: &Query, now: Timestamp) -> Result<Page<Json>, StoreError> {
        let listed = Listed {
            action: "list the API requests",
            table: self.table.clone(),
            layout: Layout::ByDay(self.days.clone()),
            time_field: "timestamp",
            expire: self.retention.is_some(),
            decode: |row| public(row, &read(row)?),
            data: None,
            ids_only: false,
            budgets: self.budgets.clone(),
            clock: Arc::clone(&self.clock),
        };
        page(&listed, &Plan::new(query, listed.time_field), query, now).await
    }
}

pub(super) fn read(row: &Row) -> Result<ApiRequest, StoreError> {
    let mut request: ApiRequest = row.json("record")?;
    request.request_id = row.optional_text("requestId")?.map(str::to_owned);
    Ok(request)
}
