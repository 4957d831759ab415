//! `/tasklane/v1/functions/{functionName}/flow`: flow by key (contract §14). This endpoint has no counterpart upstream.

use http::Method;
use tasklane_model::{AffectedRecords, ErrorKind, Flow, FlowKeyState, FlowRate, Page, Result};
use tasklane_rql::Schema;
use tasklane_service::Service;

use crate::{
    access::{
        Allowed,
        permission::{UpdateTaskFunction, ViewTaskFunctionDetails},
    },
    answer::Json,
    body::Fields,
    config::BodyLimits,
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
    params::{Listed, Name, Rql},
};

pub fn endpoints() -> Vec<Endpoint> {
    const FLOW: &str = "/tasklane/v1/functions/{functionName}/flow";
    let endpoints = vec![
        Endpoint::new(Method::GET, FLOW, "listFlowKeys", list)
            .summary("List the flow keys of a Function")
            .about("Those of which something runs or waits, the busiest first.")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::LongQuery, ErrorKind::TooManyRequests]),
        Endpoint::new(Method::PUT, FLOW, "setFlow", set)
            .summary("Set the flow of a Function")
            .about("Replaces it as a whole, without a new version of the Function. Its Tasks that wait follow the new one at once.")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::ConflictingUpdate]),
        Endpoint::new(Method::DELETE, FLOW, "removeFlow", remove)
            .summary("Remove the flow of a Function")
            .about("All of its Tasks that wait for their key may run.")
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::ConflictingUpdate]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Functions")).collect()
}

#[derive(Debug)]
pub enum FlowKeys {}

impl Listed for FlowKeys {
    const SCHEMA: Schema = Schema::FLOW_KEYS;
    const CONDITION: &'static str = "gt(waiting,0)";
    const ORDER: Option<&'static str> = None;
}

async fn list(
    service: Service,
    access: Allowed<ViewTaskFunctionDetails>,
    (Name(name), rql): (Name, Rql<FlowKeys>),
) -> Result<Json<Page<FlowKeyState>>> {
    service.flow_keys(access.caller(), &name, &rql.query).await.map(Json::of)
}

async fn set(
    service: Service,
    _: Allowed<UpdateTaskFunction>,
    Name(name): Name,
    JsonBody(flow): JsonBody<Flow>,
) -> Result<Json<AffectedRecords>> {
    service.set_flow(&name, Some(flow)).await.map(Json::of)
}

async fn remove(service: Service, _: Allowed<UpdateTaskFunction>, Name(name): Name) -> Result<Json<AffectedRecords>> {
    service.set_flow(&name, None).await.map(Json::of)
}

impl FromFields for Flow {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            key: fields.required("key")?,
            concurrent: fields.optional("concurrent")?,
            rate: fields.object("rate")?.map(|rate| rate_of(&rate)).transpose()?,
        })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.task
    }
}

fn rate_of(fields: &Fields<'_>) -> Result<FlowRate> {
    fields.require(&["count", "seconds"])?;
    Ok(FlowRate { count: fields.required("count")?, seconds: fields.required("seconds")? })
}
