//! `/tasks/v1/apiRequests`: the records of calls of API Functions (contract §5).

use http::Method;
use tasklane_model::{ApiRequest, ErrorKind, Json as AnyJson, Page, Result};
use tasklane_rql::Schema;
use tasklane_service::{LogsAnswer, Service};

use crate::{
    access::{
        Allowed,
        permission::{ViewApiFunctionRequestLogs, ViewApiFunctionRequests},
    },
    answer::Json,
    endpoint::Endpoint,
    params::{Id, Listed, Rql, RunLogRql},
};

pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::GET, "/tasks/v1/apiRequests", "listApiRequests", list)
            .summary("List API Requests")
            .about("By default, newest first.")
            .fails(&[ErrorKind::LongQuery, ErrorKind::TooManyRequests]),
        Endpoint::new(Method::GET, "/tasks/v1/apiRequests/{apiRequestId}/logs", "getApiRequestLogs", logs)
            .summary("Read the logs of an API Request")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::NoApiRequestLogsFound]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("API Functions")).collect()
}

#[derive(Debug)]
pub enum ApiRequests {}

impl Listed for ApiRequests {
    const SCHEMA: Schema = Schema::API_REQUESTS;
    const CONDITION: &'static str = "ge(statusCode,400)";
    const ORDER: Option<&'static str> = Some("-timestamp");
}

async fn list(
    service: Service,
    access: Allowed<ViewApiFunctionRequests>,
    rql: Rql<ApiRequests>,
) -> Result<Json<Page<AnyJson>, Page<ApiRequest>>> {
    service.list_api_requests(access.caller(), &rql.query).await.map(Json::of)
}

async fn logs(
    service: Service,
    _: Allowed<ViewApiFunctionRequestLogs>,
    (Id(request), RunLogRql(bounds)): (Id, RunLogRql),
) -> Result<Json<LogsAnswer>> {
    service.api_request_logs(request, &bounds).await.map(Json::of)
}
