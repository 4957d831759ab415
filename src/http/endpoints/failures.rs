//! `/tasklane/v1/failures`: failed Tasks by Function and error (contract §17). This endpoint has no counterpart upstream.

use http::Method;
use tasklane_model::{ErrorKind, Failure, Page, Result};
use tasklane_rql::Schema;
use tasklane_service::Service;

use crate::{
    access::{Allowed, permission::ViewTasks},
    answer::Json,
    endpoint::Endpoint,
    params::{Listed, Rql},
};

pub fn endpoints() -> Vec<Endpoint> {
    let endpoint = Endpoint::new(Method::GET, "/tasklane/v1/failures", "listFailures", list)
        .summary("List failures by Function and error")
        .about(
            "Counts the failed Tasks that match the RQL, whose conditions are those of the list of Tasks; the most frequent \
             failure comes first. `limit` is about the failures. If the page is partial, there was no time for older Tasks: \
             go on with `lt(id,…)` and `page.next`, and add up the counts.",
        )
        .fails(&[ErrorKind::LongQuery, ErrorKind::TooManyRequests]);
    vec![endpoint.tag("Tasks")]
}

/// Failed Tasks, which are counted and not shown.
#[derive(Debug)]
pub enum FailedTasks {}

impl Listed for FailedTasks {
    const SCHEMA: Schema = Schema::TASKS;
    const CONDITION: &'static str = "eq(functionName,invoices)";
    const ORDER: Option<&'static str> = None;
}

async fn list(service: Service, access: Allowed<ViewTasks>, rql: Rql<FailedTasks>) -> Result<Json<Page<Failure>>> {
    service.failures(access.caller(), &rql.query).await.map(Json::of)
}
