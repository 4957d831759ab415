//! `/tasklane/v1/test`: the clock and the failures of a service that was started for tests (contract §23). These endpoints
//! have no counterpart upstream.

use http::Method;
use serde::Serialize;
use tasklane_model::{Advance, Advanced, ErrorKind, FailTimes, Failing, Failures, FunctionName, Result};
use tasklane_service::Service;
use utoipa::ToSchema;

use crate::{
    access::{Allowed, permission::UpdateTaskFunction},
    answer::Json,
    body::{Fields, Reason},
    config::BodyLimits,
    endpoint::Endpoint,
    input::{FromFields, JsonBody},
};

pub fn endpoints() -> Vec<Endpoint> {
    let endpoints = vec![
        Endpoint::new(Method::POST, "/tasklane/v1/test/clock", "advanceClock", advance)
            .summary("Set the service's clock forward")
            .about(
                "Goes through every moment at which something is due, and answers once everything that is due by then has \
                 happened and nothing runs any more. `{\"advance\": 0}` only waits for that. Functions, and callers with their \
                 tokens and signatures, stay in the real time. Only a service that was started with \
                 `tasklane dev --test-clock` has this endpoint.",
            )
            .fails(&[ErrorKind::IllegalState, ErrorKind::Endpoint]),
        Endpoint::new(Method::POST, "/tasklane/v1/test/fail", "failRuns", fail)
            .summary("Let the next runs of a Function fail")
            .about(
                "Its code is not run. Replaces what was asked for before; `times` 0 lets no more runs fail. Only a service that \
                 was started with `tasklane dev --test-clock` has this endpoint.",
            )
            .fails(&[ErrorKind::ResourceUnknown, ErrorKind::Endpoint]),
    ];
    endpoints.into_iter().map(|endpoint| endpoint.tag("Tests")).collect()
}

async fn advance(
    service: Service,
    _: Allowed<UpdateTaskFunction>,
    JsonBody(forward): JsonBody<Forward>,
) -> Result<Json<Advanced>> {
    service.advance_clock(forward.advance).await.map(Json::of)
}

async fn fail(
    service: Service,
    _: Allowed<UpdateTaskFunction>,
    JsonBody(wish): JsonBody<FailingRuns>,
) -> Result<Json<Failing>> {
    let error = wish.error.unwrap_or_default();
    let failures = Failures {
        times: wish.times,
        name: error.name.unwrap_or_else(|| Failures::NAME.to_owned()),
        message: error.message.unwrap_or_else(|| Failures::MESSAGE.to_owned()),
    };
    service.fail_runs(wish.function_name, failures).await.map(Json::of)
}

/// How far to set the clock forward.
#[derive(Debug, Serialize, ToSchema)]
pub struct Forward {
    /// By how many seconds.
    advance: Advance,
}

impl FromFields for Forward {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self { advance: fields.required("advance")? })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.task
    }
}

/// Which runs fail, and how.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailingRuns {
    /// The Function.
    function_name: FunctionName,
    /// How many of its next runs fail.
    times: FailTimes,
    /// How they fail. Default: a `TestFailure`.
    error: Option<FailureFields>,
}

/// The error of a run that a test lets fail.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct FailureFields {
    /// Its name, which a retry policy may look at: at most 256 characters. Default: `TestFailure`.
    name: Option<String>,
    /// Its message: at most 256 characters.
    message: Option<String>,
}

impl FailureFields {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        let text = |field: Option<Reason>| field.map(|text| text.0);
        Ok(Self { name: text(fields.optional("name")?), message: text(fields.optional("message")?) })
    }
}

impl FromFields for FailingRuns {
    fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        fields.require(&["functionName", "times"])?;
        let error = fields.object("error")?.map(|error| FailureFields::from_fields(&error)).transpose()?;
        Ok(Self { function_name: fields.required("functionName")?, times: fields.required("times")?, error })
    }

    fn limit(limits: &BodyLimits) -> usize {
        limits.task
    }
}
