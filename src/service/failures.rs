//! The Tasks that failed, by Function and error (contract §17).

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use serde::Deserialize;
use tasklane_model::{
    Caller, Error, ErrorKind, Failure, FunctionName, Json, ObjectId, Page, PageWindow, Result, TaskError, Timestamp,
    task::cut_error,
};
use tasklane_rql::{Filter, MAX_LIMIT, Query, Schema, Window};

use super::Service;

/// How long to look for failures. After that, the answer says where to go on.
const BUDGET: Duration = Duration::from_secs(5);

/// How many kinds of failures are told apart in one answer: names of errors are whatever code throws.
const MOST_KINDS: usize = 1000;

/// What is read of each Task, the newest first.
const READ: &str = "eq(status,failed)&sort(-id)&select(functionName,statusChangedTimestamp,error)&skipCount()";

/// The part of a failed Task that counts here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    id: ObjectId,
    function_name: FunctionName,
    status_changed_timestamp: Timestamp,
    #[serde(default)]
    error: Option<TaskError>,
}

impl Service {
    /// The failed Tasks that match the query, by Function and error, the most frequent first. Its window is about these
    /// groups; `sort` and `select` are 19, because Tasks are not what is listed.
    pub async fn failures(&self, caller: &Caller, query: &Query) -> Result<Page<Failure>> {
        if !query.sort.is_empty() || query.select.is_some() {
            let message = "Failures are sorted by how many there are: leave out sort(…) and select(…).";
            return Err(Error::new(ErrorKind::InvalidRql, message));
        }
        let read = Query::parse(READ, &Schema::TASKS)?;
        let filter = Filter::And(read.filter.clone().into_iter().chain(query.filter.clone()).collect());
        let read = Query { filter: Some(filter), window: Window { limit: MAX_LIMIT, offset: 0 }, ..read };
        let _turn = self.turn_of(caller, &read).await?;
        let until = self.inner.ports.clock.now().saturating_add(BUDGET);
        let mut kinds = Kinds::default();
        let mut below: Option<ObjectId> = None;
        let next = loop {
            let page = self.inner.store.tasks.list(&read.below(below)?, self.inner.ports.clock.now()).await?;
            let records = page.data.len() as u64;
            for record in page.data {
                below = Some(kinds.add(&record)?);
            }
            // Whatever was examined beyond the last failure need not be examined again.
            below = page.page.next.or(below);
            if page.page.is_partial != Some(true) && records < MAX_LIMIT {
                break None;
            }
            if self.inner.ports.clock.now() >= until || kinds.0.len() >= MOST_KINDS {
                break below;
            }
        };
        let (failures, window) = (kinds.sorted(), query.window);
        let total = failures.len() as u64;
        let page = PageWindow {
            total: Some(total).filter(|_| !query.skip_count),
            total_is_exact: next.filter(|_| !query.skip_count).map(|_| false),
            offset: window.offset,
            limit: window.limit,
            is_partial: next.map(|_| true),
            next,
        };
        let data = failures
            .into_iter()
            .skip(usize::try_from(window.offset).unwrap_or(usize::MAX))
            .take(usize::try_from(window.limit).unwrap_or(usize::MAX))
            .collect();
        Ok(Page { query: query.text.clone(), page, data })
    }
}

/// Continues a query below an id.
trait Below: Sized {
    fn below(&self, id: Option<ObjectId>) -> Result<Self>;
}

impl Below for Query {
    fn below(&self, id: Option<ObjectId>) -> Result<Self> {
        let Some(id) = id else { return Ok(self.clone()) };
        let bound = Self::parse(&format!("lt(id,{id})"), &Schema::TASKS)?;
        let filter = Filter::And(self.filter.clone().into_iter().chain(bound.filter).collect());
        Ok(Self { filter: Some(filter), ..self.clone() })
    }
}

/// The failures so far, by Function and error.
#[derive(Default)]
struct Kinds(HashMap<(FunctionName, String), Failure>);

impl Kinds {
    /// Counts a Task, and returns its id.
    fn add(&mut self, record: &Json) -> Result<ObjectId> {
        let Failed { id, function_name, status_changed_timestamp: at, error } =
            serde_json::from_str(record.as_str()).map_err(Error::internal)?;
        let (name, message) = error.map_or_else(Default::default, |error| (error.name, error.message));
        let first_line = message.lines().next().unwrap_or_default();
        let new = || Failure {
            function_name: function_name.clone(),
            error_name: name.clone(),
            message: cut_error(first_line, "").0,
            count: 0,
            first_timestamp: at,
            last_timestamp: at,
            example_task_id: id,
        };
        let failure = self.0.entry((function_name.clone(), name.clone())).or_insert_with(new);
        if at > failure.last_timestamp {
            *failure = Failure { count: failure.count, first_timestamp: failure.first_timestamp, ..new() };
        }
        failure.count += 1;
        failure.first_timestamp = failure.first_timestamp.min(at);
        Ok(id)
    }

    fn sorted(self) -> Vec<Failure> {
        let mut failures: Vec<_> = self.0.into_values().collect();
        failures
            .sort_by_key(|failure| (Reverse(failure.count), Reverse(failure.last_timestamp), failure.example_task_id));
        failures
    }
}
